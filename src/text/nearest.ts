/** @file What a mistyped word was probably meant to be. */

/**
 * The candidate that is at most two edits away from a word.
 *
 * @param mostEdits as a share of the candidate's length
 */
export function nearest(word: string, candidates: readonly string[], mostEdits = 1 / 2): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, edits: editDistance(word, candidate) }))
    .filter(({ candidate, edits }) => edits <= 2 && edits <= mostEdits * candidate.replace(/^--/, "").length)
    .sort((a, b) => a.edits - b.edits);
  return best?.candidate;
}

/** `: did you mean X?`, to end a sentence about a word with; empty where it is near none. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  return near === undefined ? "" : `: did you mean ${near}?`;
}

/** Levenshtein's distance: how many letters are inserted, dropped or replaced between two words. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
