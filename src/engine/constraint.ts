/**
 * @file What the tokens of a sequence are bound to: thoughts of a limited length first, then an answer under a grammar, which
 * may hold only behind a certain token.
 *
 *     beginning --begin--> thinking --end--> guided <--token-- open
 *         |                   | budget           ^              ^
 *         |                   v                  |              |
 *         |                closing --------------+--------------|
 *         +--any other token---------------------+--no grammar--+--> free
 *
 * While it thinks, where its answer is open, and when nothing binds it any more, tokens can be recorded ahead as in every other sequence; where the
 * thoughts turn out to have ended, what was recorded beyond is forgotten. Everywhere else a step waits for the token before.
 */
import type { GenerationRequest, Reasoning } from "../contract/generation.ts";

type Phase = "beginning" | "thinking" | "closing" | "guided" | "open" | "free";

/** What a drawn token leads to. */
export type Step =
  /** It counts; the next one can be drawn once everything recorded has been read back. */
  | "taken"
  /** What follows the grammar has to be asked. */
  | "ask";

export class Constraint {
  /** Where it stands. */
  phase: Phase;
  /** Whether the next step may be recorded, as far as this goes. */
  isReady = false;
  readonly #reasoning: Reasoning | undefined;
  #guidance: Uint32Array | null = null;
  #thoughts = 0;
  #closed = 0;

  /** @returns null where nothing binds a request */
  static of(request: GenerationRequest): Constraint | null {
    const { grammar, reasoning } = request;
    return grammar === undefined && reasoning?.budget === undefined ? null : new Constraint(request);
  }

  private constructor(readonly request: Pick<GenerationRequest, "grammar" | "grammarAfter" | "reasoning">) {
    const { reasoning } = request;
    this.#reasoning = reasoning;
    if (reasoning === undefined) this.phase = this.#answering;
    else if (reasoning.begin !== null) this.phase = "beginning";
    else this.phase = reasoning.budget === 0 ? "closing" : "thinking";
    this.isReady = !this.needsGuidance;
  }

  /** Whether what follows the grammar has to say which tokens may come. */
  get needsGuidance(): boolean {
    if (this.#guidance !== null) return false;
    return this.phase === "guided" || (this.phase === "beginning" && this.#answering === "guided");
  }

  /** What an answer is, when it begins. */
  get #answering(): "guided" | "open" | "free" {
    const { grammar, grammarAfter } = this.request;
    return grammar === undefined ? "free" : grammarAfter === undefined ? "guided" : "open";
  }

  /** Whether steps can be recorded without knowing the tokens before. */
  get runsAhead(): boolean {
    return this.phase === "thinking" || this.phase === "open" || this.phase === "free";
  }

  /** A bit for each token that may come next; null if all may. */
  get mask(): Uint32Array | null {
    switch (this.phase) {
      case "beginning":
        return this.#guidance && withToken(this.#guidance, this.#reasoning!.begin!);
      case "closing":
        return withToken(new Uint32Array(), this.#reasoning!.closing[this.#closed]);
      case "guided":
        return this.#guidance;
      default:
        return null;
    }
  }

  /** Notes which tokens may come next, and that they may. */
  guide(mask: Uint32Array): void {
    this.#guidance = mask;
    this.isReady = true;
  }

  /** How many of some drawn tokens come before something changes, the one included that changes it. */
  unchangedBy(tokens: readonly { readonly id: number }[]): number {
    if (this.phase !== "thinking" && this.phase !== "open") return tokens.length;
    const end = this.phase === "open" ? this.request.grammarAfter : this.#reasoning!.end;
    const budget = this.phase === "open" ? undefined : this.#reasoning!.budget;
    const last = tokens.findIndex(({ id }) => id === end);
    return Math.min(last < 0 ? tokens.length : last + 1, (budget ?? Infinity) - this.#thoughts);
  }

  /** Takes drawn tokens, of which at most the last one changes something. */
  take(tokens: readonly number[]): Step {
    const last = tokens.at(-1);
    if (last === undefined) return "taken";
    switch (this.phase) {
      case "beginning":
        if (last === this.#reasoning!.begin) {
          this.#guidance = null;
          this.phase = this.#reasoning!.budget === 0 ? "closing" : "thinking";
          return "taken";
        }
        this.phase = this.#answering;
        if (this.phase === "guided") return "ask";
        this.#pass(last);
        return "taken";
      case "thinking":
        this.#thoughts += tokens.length;
        if (last === this.#reasoning!.end) this.#answer();
        else if (this.#thoughts >= (this.#reasoning!.budget ?? Infinity)) this.phase = "closing";
        return "taken";
      case "closing":
        if (++this.#closed === this.#reasoning!.closing.length) this.#answer();
        return "taken";
      case "guided":
        return "ask";
      case "open":
      case "free":
        this.#pass(last);
        return "taken";
    }
  }

  #answer(): void {
    this.#guidance = null;
    this.phase = this.#answering;
  }

  /** Binds an open answer from the token on that does. */
  #pass(token: number): void {
    if (this.phase === "open" && token === this.request.grammarAfter) this.phase = "guided";
  }
}

/** A mask with one more token in it. */
function withToken(mask: Uint32Array, token: number): Uint32Array {
  const wider = new Uint32Array(Math.max(mask.length, (token >> 5) + 1));
  wider.set(mask);
  wider[token >> 5] |= 1 << (token & 31);
  return wider;
}
