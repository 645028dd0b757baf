/** @file Answers in the form of chat completions: whole messages, and the deltas of streams. */
import { type AnswerForm, type AnswerPiece, AnswerReader } from "./answer_reader.ts";
import type { FinishReason } from "./outcome.ts";

/** A piece of a tool call: the first one of a call has everything but arguments, later ones have these only. */
export interface ToolCallDelta {
  /** Counts the calls of one reply. */
  readonly index: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** As in `choices[].delta` of a chunk; one field at most. */
export interface AnswerDelta {
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCallDelta[];
}

/** The whole message of a choice. */
export function readMessage(form: AnswerForm, text: string): { message: object; anyCall: boolean } {
  const reader = new AnswerReader(form);
  const pieces = [reader.push(text), reader.flush()];
  const content = pieces.map((piece) => piece.content).join("");
  const reasoning = pieces.map((piece) => piece.reasoning).join("");
  const calls = pieces.flatMap((piece) => piece.calls);
  const anyCall = calls.length > 0;
  return {
    anyCall,
    message: {
      role: "assistant",
      content: content === "" && anyCall ? null : content,
      refusal: null,
      ...reasoning !== "" && { reasoning_content: reasoning },
      ...anyCall && { tool_calls: calls },
    },
  };
}

/** The deltas of a choice's pieces, in the order that clients expect: a call's name before its arguments. */
export function deltasOf(pieces: readonly AnswerPiece[], { callCount }: AnswerReader): AnswerDelta[] {
  let index = callCount - pieces.reduce((sum, { calls }) => sum + calls.length, 0);
  return pieces.flatMap(({ reasoning, content, calls }) => [
    ...reasoning === "" ? [] : [{ reasoning_content: reasoning }],
    ...content === "" ? [] : [{ content }],
    ...calls.flatMap(({ id, type, function: { name, arguments: written } }) => {
      const at = index++;
      return [
        { tool_calls: [{ index: at, id, type, function: { name, arguments: "" } }] },
        { tool_calls: [{ index: at, function: { arguments: written } }] },
      ];
    }),
  ]);
}

/** Calls are why an answer stopped, if nothing cut it. */
export function finishReasonOf(reason: FinishReason, anyCall: boolean): FinishReason | "tool_calls" {
  return reason === "stop" && anyCall ? "tool_calls" : reason;
}
