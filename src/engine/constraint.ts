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
 * Where the answer has to match one grammar behind the token, and else another one, it is `either` at first: of the other
 * grammar's beginning, or the token.
 *
 * While it thinks, where its answer is open, and when nothing binds it any more, tokens can be recorded ahead as in every other sequence; where the
 * thoughts turn out to have ended, what was recorded beyond is forgotten. Everywhere else a step waits for the token before.
 */
import type { GenerationRequest, Reasoning } from "../contract/generation.ts";

type Phase = "beginning" | "thinking" | "closing" | "either" | "guided" | "open" | "free";

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
  /** Whether the token came behind which the grammar holds. */
  #isMarked = false;
  #thoughts = 0;
  #closed = 0;

  /** @returns null where nothing binds a request */
  static of(request: GenerationRequest): Constraint | null {
    const { grammar, reasoning } = request;
    return grammar === undefined && reasoning?.budget === undefined ? null : new Constraint(request);
  }

  private constructor(
    readonly request: Pick<GenerationRequest, "grammar" | "grammarAfter" | "grammarElse" | "reasoning">,
  ) {
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
    const phase = this.phase === "beginning" ? this.#answering : this.phase;
    return phase === "guided" || phase === "either";
  }

  /** The grammar that says which tokens may come, where one has to. */
  get grammar(): string {
    const { grammar, grammarElse } = this.request;
    return this.#isMarked ? grammar! : grammarElse ?? grammar!;
  }

  /** What an answer is, when it begins. */
  get #answering(): "guided" | "either" | "open" | "free" {
    const { grammar, grammarAfter, grammarElse } = this.request;
    if (grammar === undefined) return "free";
    if (grammarAfter === undefined) return "guided";
    return grammarElse === undefined ? "open" : "either";
  }

  /** Which tokens an answer may begin with. */
  get #firstTokens(): Uint32Array | null {
    const isEither = this.#answering === "either";
    return this.#guidance && isEither ? withToken(this.#guidance, this.request.grammarAfter!) : this.#guidance;
  }

  /** Whether steps can be recorded without knowing the tokens before. */
  get runsAhead(): boolean {
    return this.phase === "thinking" || this.phase === "open" || this.phase === "free";
  }

  /** A bit for each token that may come next; null if all may. */
  get mask(): Uint32Array | null {
    switch (this.phase) {
      case "beginning":
        return this.#guidance && withToken(this.#firstTokens!, this.#reasoning!.begin!);
      case "closing":
        return withToken(new Uint32Array(), this.#reasoning!.closing[this.#closed]);
      case "either":
        return this.#firstTokens;
      case "guided":
        return this.#guidance;
      case "thinking":
      case "open":
      case "free":
        break;
      default:
        this.phase satisfies never;
    }
    return null;
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
        return this.#answerWith(last);
      case "thinking":
        this.#thoughts += tokens.length;
        if (last === this.#reasoning!.end) this.#answer();
        else if (this.#thoughts >= (this.#reasoning!.budget ?? Infinity)) this.phase = "closing";
        return "taken";
      case "closing":
        if (++this.#closed === this.#reasoning!.closing.length) this.#answer();
        return "taken";
      case "either":
      case "guided":
      case "open":
      case "free":
        return this.#answerWith(last);
    }
  }

  /** Takes a token of the answer. */
  #answerWith(token: number): Step {
    const isMark = token === this.request.grammarAfter;
    if (this.phase === "guided" || (this.phase === "either" && !isMark)) {
      this.phase = "guided";
      return "ask";
    }
    if (isMark && this.phase !== "free") {
      this.#guidance = null;
      this.#isMarked = true;
      this.phase = "guided";
    }
    return "taken";
  }

  #answer(): void {
    this.#guidance = null;
    this.phase = this.#answering;
  }
}

/** A mask with one more token in it. */
function withToken(mask: Uint32Array, token: number): Uint32Array {
  const wider = new Uint32Array(Math.max(mask.length, (token >> 5) + 1));
  wider.set(mask);
  wider[token >> 5] |= 1 << (token & 31);
  return wider;
}
