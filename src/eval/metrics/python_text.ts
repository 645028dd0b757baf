/**
 * @file Text as Python sees it. The published scores were computed in Python, whose ideas of white space and of word
 * characters differ from those of JavaScript's regular expressions.
 */

// deno-lint-ignore no-control-regex -- the separators U+001C to U+001F are white space to Python
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** The words of a text, as `str.split()` finds them: parts between white space, none of them empty. */
export function splitWords(text: string): string[] {
  return text.split(WHITE_SPACE).filter((word) => word !== "");
}

/** The runs of decimal digits of any script, as `re.findall(r"\d+", text)` finds them. */
export function digitRuns(text: string): string[] {
  return text.match(/\p{Nd}+/gu) ?? [];
}

/** The text without the line feeds at its start, as `str.lstrip("\n")` makes it. */
export function withoutLeadingNewlines(text: string): string {
  return text.replace(/^\n+/, "");
}
