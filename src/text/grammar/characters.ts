/** @file Sets of characters, as ranges of code points. */
import { UnsupportedGrammarError } from "./unsupported.ts";

/** Ranges `[first, last]`, ascending, apart from each other. */
export type CharacterSet = readonly (readonly [first: number, last: number])[];

const LAST = 0x10ffff;
const FIRST_BEYOND_ASCII = 0x80;
/** Characters beyond ASCII that are written out one by one. */
const MOST_SINGLE = 256;

export const ANY_CHARACTER: CharacterSet = [[0, LAST]];

/** The set of some ranges, in any order, that may overlap. */
export function setOf(ranges: CharacterSet): CharacterSet {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** The set of the characters of a text. */
export function charactersOf(text: string): CharacterSet {
  return setOf(Array.from(text, (character) => [character.codePointAt(0)!, character.codePointAt(0)!]));
}

/** All characters that are not in the set. */
export function complement(set: CharacterSet): CharacterSet {
  const ranges: [number, number][] = [];
  let next = 0;
  for (const [first, last] of set) {
    if (first > next) ranges.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST) ranges.push([next, LAST]);
  return ranges;
}

/** The characters that are in both sets. */
export function intersection(a: CharacterSet, b: CharacterSet): CharacterSet {
  return complement(setOf([...complement(a), ...complement(b)]));
}

/** The characters of `a` that are not in `b`. */
export function difference(a: CharacterSet, b: CharacterSet): CharacterSet {
  return intersection(a, complement(b));
}

/**
 * XGrammar's character class. Of ranges beyond ASCII, its 0.1.27 matches some wrongly; texts, and classes of all that is
 * beyond ASCII, it does not.
 *
 * @throws {UnsupportedGrammarError} if it would take a range that is matched wrongly
 */
export function printCharacters(set: CharacterSet): string {
  const ascii = intersection(set, [[0, FIRST_BEYOND_ASCII - 1]]);
  const beyond = intersection(set, [[FIRST_BEYOND_ASCII, LAST]]);
  if (beyond.length === 1 && beyond[0][0] === FIRST_BEYOND_ASCII && beyond[0][1] === LAST) {
    const excluded = intersection(complement(set), [[0, FIRST_BEYOND_ASCII - 1]]);
    return excluded.length === 0 ? "[\\u0000-\\U0010ffff]" : `[^${printRanges(excluded)}]`;
  }
  const count = beyond.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (count > MOST_SINGLE) {
    throw new UnsupportedGrammarError(
      `a class of ${count} characters beyond ASCII; expected all of them, as in [^a] and \\S, or at most ${MOST_SINGLE}`,
    );
  }
  const singles = beyond.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, at) => `"${String.fromCodePoint(first + at)}"`)
  );
  const options = [...(ascii.length > 0 ? [`[${printRanges(ascii)}]`] : []), ...singles];
  if (options.length === 0) throw new UnsupportedGrammarError("a class of characters with nothing in it");
  return options.length === 1 ? options[0] : `(${options.join(" | ")})`;
}

function printRanges(set: CharacterSet): string {
  const escaped = (code: number) => `\\u${code.toString(16).padStart(4, "0")}`;
  return set.map(([first, last]) => first === last ? escaped(first) : `${escaped(first)}-${escaped(last)}`).join("");
}
