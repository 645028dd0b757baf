/** @file Reads the answer of one choice while it is generated: thoughts, text and calls of tools, each as clients expect it. */
import { type ReasoningMarks, ReasoningSplitter, type ReasoningStart } from "../../text/reasoning.ts";
import { CallReader } from "../../text/tool_calls/call_reader.ts";
import type { ToolCallFormat } from "../../text/tool_calls/formats.ts";
import type { ToolCall } from "../../text/tool_calls/read_calls.ts";

/** How an answer is read. */
export interface AnswerForm {
  /** How thoughts are set off; null leaves them in the text. */
  readonly marks: ReasoningMarks | null;
  readonly start: ReasoningStart;
  /** Whether thoughts are not passed on. */
  readonly hidesReasoning: boolean;
  /** The calls that it may hold. */
  readonly calls: {
    readonly format: ToolCallFormat;
    /** Names that can be called. */
    readonly tools: ReadonlySet<string>;
    /** Whether the mark before a call is not part of what is generated. */
    readonly isBegun: boolean;
    /** Further calls are dropped. */
    readonly most: number;
  } | null;
  /** Control tokens that have to be seen. */
  readonly shown: ReadonlySet<number>;
}

/** A call as OpenAI's API has it. */
export interface CallField {
  readonly id: string;
  readonly type: "function";
  readonly function: ToolCall;
}

/** A piece of an answer; at least one of the texts is not empty, or there are calls. */
export interface AnswerPiece {
  readonly reasoning: string;
  readonly content: string;
  readonly calls: readonly CallField[];
}

export class AnswerReader {
  readonly #splitter: ReasoningSplitter;
  readonly #calls: CallReader | null;
  #callCount = 0;

  constructor(readonly form: AnswerForm) {
    const { marks, start, calls } = form;
    this.#splitter = new ReasoningSplitter(marks, start);
    this.#calls = calls && new CallReader(calls.format, calls.tools, calls.isBegun);
  }

  /** Calls so far. */
  get callCount(): number {
    return this.#callCount;
  }

  push(text: string): AnswerPiece {
    const { reasoning, content } = this.#splitter.push(text);
    return this.#piece(reasoning, content, false);
  }

  /** What was held back. Call once, after the last piece. */
  flush(): AnswerPiece {
    const { reasoning, content } = this.#splitter.flush();
    return this.#piece(reasoning, content, true);
  }

  #piece(thoughts: string, content: string, isLast: boolean): AnswerPiece {
    const reasoning = this.form.hidesReasoning ? "" : thoughts;
    if (this.#calls === null) return { reasoning, content, calls: [] };
    const parts = [...content === "" ? [] : this.#calls.push(content), ...isLast ? this.#calls.flush() : []];
    const calls = parts.flatMap((part) => part.type === "call" ? this.#callField(part.call) : []);
    return { reasoning, content: parts.map((part) => part.type === "text" ? part.text : "").join(""), calls };
  }

  #callField(call: ToolCall): CallField[] {
    const { format, most } = this.form.calls!;
    if (this.#callCount >= most) return [];
    this.#callCount++;
    return [{ id: callId(format.shortIds === true), type: "function", function: call }];
  }
}

function callId(isShort: boolean): string {
  const digits = crypto.randomUUID().replaceAll("-", "");
  return isShort ? digits.slice(0, 9) : `call_${digits.slice(0, 24)}`;
}
