/**
 * @file Finds tool calls in an answer while it is generated. A call is passed on once all of it is there; what turns out to be
 * none is text, as it was written.
 *
 *     text --begin mark--> call --JSON value--> behind --end mark--> text
 */
import type { ToolCallFormat } from "./formats.ts";
import { JsonValueEnd } from "./json_value_end.ts";
import { isObject, readCalls, type ToolCall } from "./read_calls.ts";

/** A piece of an answer. */
export type AnswerPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "call"; readonly call: ToolCall };

export class CallReader {
  #state: "start" | "text" | "call" | "behind";
  /** What has not been passed on. In a call, all of it from the mark on. */
  #held = "";
  /** In a call: where the JSON begins, and how far it has been followed. */
  #value: { readonly start: number; readonly end: JsonValueEnd } | null = null;
  /** Whether the state has changed, so that what is held may be looked at anew. */
  #isMoving = false;
  /** Whether a call has been found. */
  #anyCall = false;

  /** Characters at the start of what is held that the prompt has, not the answer. */
  #unwritten = 0;

  /**
   * @param tools names that can be called
   * @param isBegun whether the mark before a call has been written already
   */
  constructor(readonly format: ToolCallFormat, readonly tools: ReadonlySet<string>, isBegun = false) {
    this.#state = format.begin === null ? "start" : isBegun ? "call" : "text";
    if (!isBegun || format.begin === null) return;
    this.#held = format.begin;
    this.#unwritten = format.begin.length;
  }

  push(piece: string): AnswerPart[] {
    this.#held += piece;
    const parts: AnswerPart[] = [];
    for (let before = -1; before !== this.#held.length || this.#isMoving;) {
      this.#isMoving = false;
      before = this.#held.length;
      this.#step(parts);
    }
    return parts;
  }

  /** What was held back. Call once, after the last piece. */
  flush(): AnswerPart[] {
    const held = this.#held.slice(this.#unwritten);
    this.#held = "";
    this.#unwritten = 0;
    // Behind a call, white space and what is left of its end mark say nothing.
    const { end } = this.format;
    if (held === "" || (this.#state === "behind" && (held.trim() === "" || end?.startsWith(held.trim())))) return [];
    if (this.#anyCall && held.trim() === "") return [];
    return [{ type: "text", text: held }];
  }

  #step(parts: AnswerPart[]): void {
    switch (this.#state) {
      case "start":
        return this.#readStart();
      case "text":
        return this.#readText(parts);
      case "call":
        return this.#readCall(parts);
      case "behind":
        return this.#readBehind();
    }
  }

  #become(state: "start" | "text" | "call" | "behind"): void {
    this.#state = state;
    this.#value = null;
    this.#isMoving = true;
  }

  /** An answer that is JSON may be a call. */
  #readStart(): void {
    const { lead } = this.format;
    const text = this.#held.trimStart();
    if (text === "" || (lead !== undefined && text.length < lead.length && lead.startsWith(text))) return;
    const isJson = text[0] === "{" || text[0] === "[" || (lead !== undefined && text.startsWith(lead));
    this.#become(isJson ? "call" : "text");
  }

  #readText(parts: AnswerPart[]): void {
    const { begin } = this.format;
    const at = begin === null ? -1 : this.#held.indexOf(begin);
    // White space before a call is part of how it is written.
    const shown = at >= 0
      ? this.#held.slice(0, at).trimEnd().length
      : begin === null
      ? this.#held.length
      : this.#held.slice(0, this.#held.length - openTail(this.#held, begin)).trimEnd().length;
    if (shown > 0) parts.push({ type: "text", text: this.#held.slice(0, shown) });
    this.#held = this.#held.slice(at >= 0 ? at : shown);
    if (at >= 0) this.#become("call");
  }

  #readCall(parts: AnswerPart[]): void {
    const { begin, lead, nameEnd } = this.format;
    const white = this.#held.length - this.#held.trimStart().length;
    const from = begin !== null
      ? begin.length
      : lead !== undefined && this.#held.startsWith(lead, white)
      ? white + lead.length
      : white;
    if (this.#value === null) {
      const start = from + this.#held.slice(from).search(nameEnd === undefined ? /\S/ : /[{[]/);
      if (start < from) return;
      const rest = this.#held.slice(start);
      if (nameEnd !== undefined && rest.length < nameEnd.length && nameEnd.startsWith(rest)) return;
      const isValue = rest[0] === "{" || rest[0] === "[";
      // Of the list form, too: some models write it anyway.
      const isName = nameEnd !== undefined && this.#held.startsWith(nameEnd, start);
      if (isName) {
        const object = this.#held.indexOf("{", start + nameEnd.length);
        if (object < 0) return;
        this.#value = { start: object, end: new JsonValueEnd() };
      } else if (isValue) this.#value = { start, end: new JsonValueEnd() };
      else return this.#refuse(parts, from);
    }
    const { start, end } = this.#value;
    const json = this.#held.slice(start);
    const length = end.in(json);
    if (length === null) return;
    const calls = this.#calls(this.#held.slice(from, start), json.slice(0, length));
    if (calls === null) return this.#refuse(parts, begin === null ? this.#held.length : from);
    parts.push(...calls.map((call) => ({ type: "call" as const, call })));
    this.#anyCall = true;
    this.#unwritten = 0;
    this.#held = json.slice(length);
    this.#become("behind");
  }

  #calls(before: string, json: string): ToolCall[] | null {
    const name = before.replace(this.format.nameEnd ?? "", "").trim();
    if (name === "") return readCalls(json, this.tools);
    return this.tools.has(name) && isObject(json) ? [{ name, arguments: json }] : null;
  }

  /** What looked like a call is text: so much of it, at least. */
  #refuse(parts: AnswerPart[], length: number): void {
    const text = this.#held.slice(this.#unwritten, length);
    if (text !== "") parts.push({ type: "text", text });
    this.#held = this.#held.slice(length);
    this.#unwritten = 0;
    this.#become("text");
  }

  /** Passes the end mark, or what stands between two calls. */
  #readBehind(): void {
    const { begin, end } = this.format;
    const text = this.#held.trimStart();
    if (text === "") return;
    if (end !== null) {
      if (text.length < end.length && end.startsWith(text)) return;
      if (text.startsWith(end)) this.#held = text.slice(end.length);
      return this.#become("text");
    }
    if (begin !== null) return this.#become("text");
    const next = text.replace(/^[;,]\s*/, "");
    if (next === "") return;
    if (next[0] === "{" || (this.format.lead !== undefined && next.startsWith(this.format.lead))) {
      this.#held = next;
      this.#become("call");
    } else this.#become("text");
  }
}

/** Length of the end of `text` that may become `mark`. */
function openTail(text: string, mark: string): number {
  let length = Math.min(mark.length - 1, text.length);
  while (length > 0 && !mark.startsWith(text.slice(text.length - length))) length--;
  return length;
}
