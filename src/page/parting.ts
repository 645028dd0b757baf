/** @file Where two answers part. */

/** How many UTF-16 units two texts have in common at their beginning, up to the end of a whole word or to where one ends. */
export function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  if (length === a.length || length === b.length) {
    const longer = a.length > b.length ? a : b;
    return isWithinWord(longer, length) ? wordStart(longer, length) : length;
  }
  return wordStart(a, length);
}

/** What became of a comparison, in words. */
export function partingSentence(a: string, b: string): string {
  if (a === b) return "Both answers are the same.";
  const words = a.slice(0, commonLength(a, b)).split(/\s+/).filter((word) => word !== "").length;
  return words === 0
    ? "The answers differ from the first word."
    : `The answers part after ${words} ${words === 1 ? "word" : "words"}.`;
}

function isWithinWord(text: string, at: number): boolean {
  return at > 0 && at < text.length && !/\s/.test(text[at - 1]) && !/\s/.test(text[at]);
}

function wordStart(text: string, at: number): number {
  while (isWithinWord(text, at)) at--;
  return at;
}
