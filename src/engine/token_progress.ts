/**
 * @file How far a sequence's tokens have come. The host records tokens ahead, reads them back a turn later, and then learns
 * which of them count:
 *
 *     | prompt | accepted ... | surplus | read back | on the GPU |
 *                             ^ end     ^ taken                  ^ recorded
 *
 * The first tokens behind the prompt may be given instead of drawn, see contract/generation.ts.
 */
import type { Continuation, GeneratedToken, GenerationRequest, Resumption } from "../contract/generation.ts";

/** What the tokens of a submit came to. */
export interface TakenTokens {
  /** Those that were drawn and count, in order. */
  readonly drawn: readonly GeneratedToken[];
  /** Why no more come, if so. */
  readonly end: "stop" | "length" | null;
}

/** Where a paused sequence goes on. */
export interface ResumedToken {
  /** The token that the next step feeds. */
  readonly token: number;
  /** Position of the first token of the continuation. */
  readonly position: number;
  /** Rows at the end of the cache that are of tokens no longer there. */
  readonly surplusRows: number;
}

/** What a request says about its tokens. */
type ProgressRequest = Pick<
  GenerationRequest,
  "prompt" | "continuation" | "maxTokens" | "minTokens" | "stopTokens"
>;

export class TokenProgress {
  /** Why the generation waits to be resumed; null while it does not. */
  pausedBy: "stop" | "length" | null = null;
  /** Tokens behind the prompt, given or drawn, that have been recorded. */
  recorded = 0;
  /** Tokens drawn since the prompt, or since the generation was resumed. */
  drawn = 0;
  /** Of those recorded, how many have been read back; and of these, the ones that are not surplus. */
  #taken = 0;
  #accepted: number[] = [];
  /** Tokens behind the prompt up to which they are given, and where the generation ends. */
  #givenEnd = 0;
  #end = 0;
  /** Tokens behind the prompt before which no stop token comes. */
  #leastEnd = 0;
  #logitsFrom = Infinity;
  #isHeld = false;
  #given: { readonly start: number; readonly tokens: Uint32Array } = { start: 0, tokens: new Uint32Array() };

  constructor(readonly request: ProgressRequest) {
    this.#goOn(request.continuation ?? { tokens: new Uint32Array() }, 0, request.maxTokens);
    if (request.stopTokens.length > 0) this.#leastEnd = this.#givenEnd + (request.minTokens ?? 0);
  }

  /** Tokens behind the prompt when the generation ends. */
  get end(): number {
    return this.#end;
  }

  /** Position of the last recorded token, which the next step feeds; of the prompt's last token at first. */
  get position(): number {
    return this.request.prompt.length + this.recorded - 1;
  }

  /** Tokens that may still be recorded. */
  get remaining(): number {
    return this.#end - this.recorded;
  }

  /** How many of the next tokens must not end the generation. */
  get unending(): number {
    return Math.max(0, this.#leastEnd - this.recorded);
  }

  /** How many of the next tokens are given, not drawn. */
  get givenAhead(): number {
    return Math.max(0, this.#givenEnd - this.recorded);
  }

  /** Rows that have been generated so far: the last token's is not, until it is fed. */
  get generatedRows(): number {
    return this.recorded - 1;
  }

  /** Tokens that may still be drawn, as far as it is known which ones have been. */
  get left(): number {
    return this.#end - this.#accepted.length;
  }

  /** Whether all that is read back is surplus, see {@link hold}. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** The tokens behind the prompt that count. */
  get accepted(): readonly number[] {
    return this.#accepted;
  }

  /** The tokens behind the prompt whose rows are in the cache and count. */
  get fed(): readonly number[] {
    return this.#accepted.slice(0, -1);
  }

  /** Whether everything that was recorded has been read back. */
  get isTaken(): boolean {
    return this.#taken >= this.recorded;
  }

  /** Whether step `step` of a submit, whose first step records the next token, computes logits that are to be reported. */
  reportsLogits(step: number): boolean {
    const token = this.recorded + step;
    return token >= this.#logitsFrom && token < this.#givenEnd;
  }

  /** Whether any of the tokens that are still to be recorded is reported with its logits. */
  get willReportLogits(): boolean {
    return this.#givenEnd > Math.max(this.recorded, this.#logitsFrom);
  }

  /** Takes in tokens that have been read back. All that come after an end are surplus. */
  take(tokens: readonly GeneratedToken[]): TakenTokens {
    this.#taken += tokens.length;
    if (this.pausedBy !== null || this.#isHeld) return { drawn: [], end: null };
    const { stopTokens } = this.request;
    const given = Math.min(tokens.length, Math.max(0, this.#givenEnd - this.#accepted.length));
    const drawn = tokens.slice(given, this.#end - this.#accepted.length);
    const stop = drawn.findIndex(({ id }) => stopTokens.includes(id));
    const kept = stop >= 0 ? drawn.slice(0, stop + 1) : drawn;
    const firstGiven = this.#accepted.length - this.#given.start;
    this.#accepted.push(...this.#given.tokens.slice(firstGiven, firstGiven + given), ...kept.map(({ id }) => id));
    this.drawn += kept.length;
    if (stop >= 0) return { drawn: kept, end: "stop" };
    return { drawn: kept, end: this.#accepted.length === this.#end ? "length" : null };
  }

  /** Makes all tokens surplus that have not been taken yet, until {@link release}. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Goes on behind the last token that counts, once all surplus has been read back. */
  release(): Pick<ResumedToken, "token" | "surplusRows"> {
    const surplusRows = this.recorded - this.#accepted.length;
    this.recorded = this.#taken = this.#accepted.length;
    this.#isHeld = false;
    return { token: this.#accepted.at(-1)!, surplusRows };
  }

  /** Takes a paused generation up again. */
  resume({ rewind, continuation, maxTokens }: Resumption): ResumedToken {
    const kept = rewind ? 0 : this.#accepted.length;
    // The token behind a prompt is not drawn again: the row that it is drawn from is not in the cache.
    const recorded = Math.max(1, kept);
    const surplusRows = this.recorded - recorded;
    this.recorded = this.#taken = recorded;
    if (kept === 0) this.#accepted = [continuation.tokens[0]];
    this.pausedBy = null;
    this.drawn = 0;
    this.#goOn(continuation, kept, maxTokens);
    return { position: this.request.prompt.length + kept, token: this.#accepted.at(-1)!, surplusRows };
  }

  #goOn({ tokens, logitsFrom = Infinity }: Continuation, start: number, maxTokens: number): void {
    this.#given = { start, tokens };
    this.#givenEnd = start + tokens.length;
    this.#end = this.#givenEnd + maxTokens;
    this.#logitsFrom = Math.max(1, start + logitsFrom);
  }
}
