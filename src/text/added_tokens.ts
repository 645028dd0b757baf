/** @file Finds tokens that are looked for as a whole before a text is cut into others: special ones and the user's own. */

import { WHITE_SPACE } from "./jinja/template_text.ts";
import type { EncodeOptions } from "./tokenizer.ts";

/** A token that is looked for in the text before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Whether it controls the model. */
  readonly special: boolean;
  /** Looked for in the normalized text, as its own normalized content. Default: false. */
  readonly normalized?: boolean;
  /** Only where no letter, digit or underscore is next to it. Default: false. */
  readonly single_word?: boolean;
  /** Takes the white space before it along. Default: false. */
  readonly lstrip?: boolean;
  /** Takes the white space behind it along. Default: false. */
  readonly rstrip?: boolean;
}

/** A piece of a text: one added token, or what lies between two of them. `start` is where it lies in the text. */
export type Section =
  | { readonly id: number }
  | { readonly text: string; readonly start: number };

/** Whether an added token may be found at `[start, end)`. */
export type Accepts = (token: AddedToken, start: number, end: number) => boolean;

const WORD = /[\p{L}\p{M}\p{N}\p{Pc}]/u;

/** Looks for a set of added tokens; the first that begins counts, and of those the longest. */
export class AddedTokenFinder {
  readonly #byFirstUnit = new Map<number, { token: AddedToken; content: string }[]>();

  /** @param contentOf how a token is written in the texts that are to be searched */
  constructor(tokens: readonly AddedToken[], contentOf = (token: AddedToken) => token.content) {
    const written = tokens.map((token) => ({ token, content: contentOf(token) })).filter(({ content }) =>
      content !== ""
    );
    written.sort((a, b) => b.content.length - a.content.length);
    for (const entry of written) {
      const first = entry.content.charCodeAt(0);
      const known = this.#byFirstUnit.get(first);
      if (known === undefined) this.#byFirstUnit.set(first, [entry]);
      else known.push(entry);
    }
  }

  /** The text cut around the tokens in it; no section is empty. */
  split(text: string, accepts: Accepts): Section[] {
    const sections: Section[] = [];
    let end = 0;
    const addText = (to: number) => {
      if (to > end) sections.push({ text: text.slice(end, to), start: end });
    };
    for (let at = 0; at < text.length;) {
      const found = this.#tokenAt(text, at, accepts);
      if (found === undefined) {
        at++;
        continue;
      }
      const { token, content } = found;
      let from = at;
      let to = at + content.length;
      while (token.lstrip && from > end && WHITE_SPACE.test(text[from - 1])) from--;
      while (token.rstrip && to < text.length && WHITE_SPACE.test(text[to])) to++;
      addText(from);
      sections.push({ id: token.id });
      end = at = to;
    }
    addText(text.length);
    return sections;
  }

  #tokenAt(text: string, at: number, accepts: Accepts) {
    return this.#byFirstUnit.get(text.charCodeAt(at))?.find(({ token, content }) => {
      const end = at + content.length;
      return text.startsWith(content, at) && !(token.single_word && isInWord(text, at, end)) && accepts(token, at, end);
    });
  }
}

function isInWord(text: string, start: number, end: number): boolean {
  const before = [...text.slice(Math.max(0, start - 2), start)].at(-1) ?? "";
  const [behind = ""] = text.slice(end, end + 2);
  return WORD.test(before) || WORD.test(behind);
}

/** The rule of {@linkcode EncodeOptions} for added tokens. */
export function acceptedBy({ parseSpecial = true, plainRanges = [], plainTokens = [] }: EncodeOptions): Accepts {
  const plain = new Set(plainTokens);
  return (token, start, end) => {
    if (token.special && !parseSpecial) return false;
    return !(token.special || plain.has(token.id)) || !touches(plainRanges, start, end);
  };
}

/** Whether `[start, end)` and one of the ranges share a place. */
function touches(ranges: readonly number[], start: number, end: number): boolean {
  // The first range that ends behind the start.
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle + 1] > start) high = middle;
    else low = middle + 1;
  }
  return 2 * low < ranges.length && ranges[2 * low] < end;
}
