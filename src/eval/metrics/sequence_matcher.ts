/**
 * @file How similar two texts are by Ratcliff and Obershelp's "gestalt pattern matching", as `difflib.SequenceMatcher` of
 * Python's standard library computes it: take the longest common substring, do the same to its left and to its right.
 */

/** From this length on, characters that are more than a hundredth of the second text start no match ("autojunk"). */
const POPULARITY_MATTERS = 200;

/** Twice the matched characters over all characters, in [0, 1]; not symmetric. Characters are code points. */
export function similarityRatio(first: string, second: string): number {
  const a = [...first];
  const b = [...second];
  const total = a.length + b.length;
  return total === 0 ? 1 : 2 * matchedCharacters(a, b) / total;
}

function matchedCharacters(a: readonly string[], b: readonly string[]): number {
  const places = placesOfCharacters(b);
  let matched = 0;
  const open = [{ aStart: 0, aEnd: a.length, bStart: 0, bEnd: b.length }];
  for (let range = open.pop(); range; range = open.pop()) {
    const { aStart, aEnd, bStart, bEnd } = range;
    const match = longestMatch(a, b, places, range);
    if (match.size === 0) continue;
    matched += match.size;
    open.push({ aStart, aEnd: match.aStart, bStart, bEnd: match.bStart });
    open.push({ aStart: match.aStart + match.size, aEnd, bStart: match.bStart + match.size, bEnd });
  }
  return matched;
}

/** Where each character of a text is, ascending, without characters that are too popular. */
function placesOfCharacters(text: readonly string[]): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (const [at, character] of text.entries()) {
    const known = places.get(character);
    if (known) known.push(at);
    else places.set(character, [at]);
  }
  if (text.length >= POPULARITY_MATTERS) {
    const most = Math.floor(text.length / 100) + 1;
    for (const [character, at] of places) {
      if (at.length > most) places.delete(character);
    }
  }
  return places;
}

interface Range {
  readonly aStart: number;
  readonly aEnd: number;
  readonly bStart: number;
  readonly bEnd: number;
}

/** The longest match in a range; of several, the first in `a`, then the first in `b`. */
function longestMatch(
  a: readonly string[],
  b: readonly string[],
  places: ReadonlyMap<string, readonly number[]>,
  { aStart, aEnd, bStart, bEnd }: Range,
): { aStart: number; bStart: number; size: number } {
  let best = { aStart, bStart, size: 0 };
  // The size of the match that ends at each place of b, for the previous character of a.
  let sizes = new Map<number, number>();
  for (let i = aStart; i < aEnd; i++) {
    const next = new Map<number, number>();
    for (const j of places.get(a[i]) ?? []) {
      if (j < bStart) continue;
      if (j >= bEnd) break;
      const size = (sizes.get(j - 1) ?? 0) + 1;
      next.set(j, size);
      if (size > best.size) best = { aStart: i - size + 1, bStart: j - size + 1, size };
    }
    sizes = next;
  }
  // Popular characters start no match but lengthen one.
  while (best.aStart > aStart && best.bStart > bStart && a[best.aStart - 1] === b[best.bStart - 1]) {
    best = { aStart: best.aStart - 1, bStart: best.bStart - 1, size: best.size + 1 };
  }
  while (
    best.aStart + best.size < aEnd && best.bStart + best.size < bEnd &&
    a[best.aStart + best.size] === b[best.bStart + best.size]
  ) {
    best.size++;
  }
  return best;
}
