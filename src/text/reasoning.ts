/** @file The thoughts that some models write before they answer: found in what they generate, and told apart from the answer. */

/** How a model sets off its thoughts. */
export interface ReasoningMarks {
  readonly begin: string;
  readonly end: string;
}

const KNOWN: readonly ReasoningMarks[] = [
  { begin: "<think>", end: "</think>" },
  { begin: "[THINK]", end: "[/THINK]" },
];

/** The marks that a chat template knows; null for models that do not think, as far as it tells. */
export function reasoningMarks(templateSource: string): ReasoningMarks | null {
  return KNOWN.find(({ end }) => templateSource.includes(end)) ?? null;
}

/**
 * Where an answer starts: within thoughts that the prompt has begun, behind thoughts that the prompt has closed, or where the
 * model may begin some.
 */
export type ReasoningStart = "open" | "closed" | "possible";

export function reasoningStart(prompt: string, { begin, end }: ReasoningMarks): ReasoningStart {
  const written = prompt.trimEnd();
  if (written.endsWith(begin)) return "open";
  return written.endsWith(end) ? "closed" : "possible";
}

/** A piece of what a model generates. */
export interface SplitText {
  readonly reasoning: string;
  readonly content: string;
}

/**
 * Tells thoughts from the answer, however the text is cut into pieces. The marks and the white space around them belong to
 * neither.
 */
export class ReasoningSplitter {
  readonly #marks: ReasoningMarks;
  #state: "undecided" | "thinking" | "answering";
  #held = "";
  /** Whether white space comes next that belongs to nothing. */
  #isTrimming: boolean;

  constructor(marks: ReasoningMarks | null, start: ReasoningStart) {
    this.#marks = marks ?? KNOWN[0];
    this.#state = marks === null || start === "closed" ? "answering" : start === "open" ? "thinking" : "undecided";
    this.#isTrimming = this.#state === "thinking";
  }

  push(piece: string): SplitText {
    let text = this.#held + piece;
    this.#held = "";
    let reasoning = "";
    if (this.#state === "undecided") {
      const { begin } = this.#marks;
      const trimmed = text.trimStart();
      if (trimmed.length < begin.length && begin.startsWith(trimmed)) return this.#hold(text);
      const thinks = trimmed.startsWith(begin);
      this.#state = thinks ? "thinking" : "answering";
      this.#isTrimming = thinks;
      if (thinks) text = trimmed.slice(begin.length);
    }
    if (this.#state === "thinking") {
      const { end } = this.#marks;
      text = this.#trimmed(text);
      const at = text.indexOf(end);
      if (at < 0) {
        const shown = text.length - openTail(text, end);
        this.#held = text.slice(shown);
        return { reasoning: text.slice(0, shown), content: "" };
      }
      reasoning = text.slice(0, at).trimEnd();
      text = text.slice(at + end.length);
      this.#state = "answering";
      this.#isTrimming = true;
    }
    return { reasoning, content: this.#trimmed(text) };
  }

  /** What was held back. Call once, after the last piece. */
  flush(): SplitText {
    const text = this.#held;
    this.#held = "";
    return this.#state === "thinking" ? { reasoning: text, content: "" } : { reasoning: "", content: text };
  }

  #hold(text: string): SplitText {
    this.#held = text;
    return { reasoning: "", content: "" };
  }

  #trimmed(text: string): string {
    if (!this.#isTrimming) return text;
    const rest = text.trimStart();
    this.#isTrimming = rest === "";
    return rest;
  }
}

/** Length of the end of `text` that may become white space and the mark `end`. */
function openTail(text: string, end: string): number {
  let length = Math.min(end.length - 1, text.length);
  while (length > 0 && !end.startsWith(text.slice(text.length - length))) length--;
  return text.length - text.slice(0, text.length - length).trimEnd().length;
}
