/**
 * @file A text that follows a grammar while it is generated, and comes to its end before its tokens run out.
 *
 * While many tokens are left, any token may come that the grammar allows. The way to the end is looked for now and then, the
 * more often the closer it comes to what is left. When a token would make it longer than that, the first one of the way takes
 * its place, and the others follow.
 *
 * A token can make the way much longer at once: a row of a table by all of its cells, one call behind another by all of its
 * arguments. How much is learnt from the first tokens that may open something, and each such is looked at where not much more than
 * that is left.
 */
import { closingTokens } from "./closing.ts";
import type { TextMatcher } from "./matcher.ts";
import type { TokenSpeller } from "./token_speller.ts";

/** Where much is left, tokens that lengthen the way to the end by more, one after the other, can go unnoticed. */
const MOST_GROWTH = 8;
/** Tokens from which it is learnt how much longer the way becomes where something is opened. */
const LESSONS = 16;
/** Tokens left, beside the way and what may be added to it, below which every token is looked at that may open something. */
const NEAR = 64;
/** Bytes with which objects, lists, their next members and further calls begin: to look at every token takes too long. */
const OPENING: ReadonlySet<number> = new Set(new TextEncoder().encode("{[,;<\n"));

/** How a text may go on. */
export interface Continuation {
  /** What takes the place of the token that was drawn last; null if that stays. */
  readonly replacement: number | null;
  /** Tokens that may come next, a bit each; null if the text is over. */
  readonly mask: Uint32Array<ArrayBuffer> | null;
  /** Whether the text ends before the token that was drawn last: it could end there, and not behind what that token begins. */
  readonly isCut?: boolean;
}

/** What a text is, beside its grammar. */
export interface GuidedTextOptions {
  /** Tokens that it may have. */
  readonly remaining: number;
  /** Tokens that may come where it may end. */
  readonly stopTokens: readonly number[];
}

export class GuidedText {
  #remaining: number;
  /** Tokens left at which the way to the end is looked for next. */
  #nextLook: number;
  /** The way to the end, once it is taken. */
  #closing: number[] | null = null;
  /** Tokens of the way to the end when it was looked for last, and the most by which it was longer than the time before. */
  #way = 0;
  #growth = MOST_GROWTH;
  #lessons = 0;

  constructor(readonly matcher: TextMatcher, readonly speller: TokenSpeller, readonly options: GuidedTextOptions) {
    this.#remaining = this.#nextLook = options.remaining;
  }

  /** How it may begin. @throws {Error} if the vocabulary has no token for it */
  async begin(): Promise<Continuation> {
    await this.#look(null);
    return { replacement: null, mask: await this.#mask() };
  }

  /** Takes a token that may come next. @throws {Error} if it may not, or none may come behind it */
  async advance(token: number): Promise<Continuation> {
    if (!this.matcher.accept(token)) throw new Error(`Token ${token} does not follow the grammar`);
    this.#remaining--;
    this.#closing?.shift();
    const replacement = await this.#look(token);
    if (replacement === "cut") return { replacement: null, mask: null, isCut: true };
    return { replacement, mask: await this.#mask() };
  }

  dispose(): void {
    this.matcher.dispose();
  }

  /** Looks for the way to the end if it is time. @returns what takes the place of the token just taken, if it must */
  async #look(token: number | null): Promise<number | "cut" | null> {
    if (this.#closing !== null || (this.#remaining > this.#nextLook && !this.#mayGrow(token))) return null;
    const way = await closingTokens(this.matcher, this.speller);
    if (way !== null) {
      if (token !== null) this.#growth = Math.max(this.#growth, way.length - this.#way);
      this.#way = way.length;
    }
    const left = this.#remaining - (way?.length ?? Infinity);
    if (left === 0) this.#closing = way;
    else this.#lookAgainIn(left > 0 ? left : this.#remaining);
    return left < 0 && token !== null ? await this.#turnBack(token, way !== null) : null;
  }

  /** Whether a token opens what may not be closed in time. */
  #mayGrow(token: number | null): boolean {
    if (token === null || !this.matcher.engine.tokens[token]?.some((byte) => OPENING.has(byte))) return false;
    return ++this.#lessons <= LESSONS || this.#remaining <= this.#way + 2 * this.#growth + NEAR;
  }

  #lookAgainIn(tokens: number): void {
    this.#nextLook = this.#remaining - Math.max(1, Math.floor(tokens / MOST_GROWTH));
  }

  /**
   * Takes the way to the end that there was before the last token; if there was none in time, there may be one later.
   *
   * @param isKnown whether a way behind it was found, and is too long
   */
  async #turnBack(token: number, isKnown: boolean): Promise<number | "cut" | null> {
    this.matcher.back(1);
    const way = await closingTokens(this.matcher, this.speller);
    if (way?.length === 0 && isKnown) return "cut";
    if (way === null || way.length === 0 || way.length > this.#remaining + 1) {
      this.matcher.accept(token);
      return null;
    }
    const [first, ...rest] = way;
    this.matcher.accept(first);
    this.#closing = rest;
    return first;
  }

  async #mask(): Promise<Uint32Array<ArrayBuffer> | null> {
    const { mask, mayEnd } = await this.matcher.next();
    if (this.#closing !== null) {
      if (this.#closing.length === 0) return null;
      mask.fill(0);
      setBit(mask, this.#closing[0]);
      return mask;
    }
    if (mask.every((word) => word === 0)) {
      if (mayEnd) return null;
      throw new Error("The model's vocabulary has no token with which the grammar could go on");
    }
    if (mayEnd) { for (const token of this.options.stopTokens) setBit(mask, token); }
    return mask;
  }
}

function setBit(mask: Uint32Array, token: number): void {
  mask[token >> 5] |= 1 << (token & 31);
}
