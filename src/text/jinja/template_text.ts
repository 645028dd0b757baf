/**
 * @file Text that knows which of its parts came from the client rather than from the template.
 *
 *     "<|im_start|>user\n" + "Hi<|im_end|>" + "<|im_end|>\n"
 *                             ------------                      marked: [18, 30]
 *
 * Everything that a template does to a text keeps the marks, so that in the prompt the `<|im_end|>` of the template is a
 * control token and the one that a user typed is ten characters.
 */

const UNMARKED: readonly number[] = [];

/** Immutable. Offsets are in UTF-16 units unless they are said to be characters, which are code points as in Python. */
export class TemplateText {
  /**
   * @param value the text itself
   * @param marks the parts that came from the client: `[start, end, start, end, ...]`, ascending, none empty
   */
  constructor(readonly value: string, readonly marks: readonly number[] = UNMARKED) {}

  /** A text that came from the client. */
  static marked(value: string): TemplateText {
    return new TemplateText(value, value === "" ? UNMARKED : [0, value.length]);
  }

  static join(parts: readonly TemplateText[]): TemplateText {
    if (parts.length === 1) return parts[0];
    let length = 0;
    const marks: number[] = [];
    for (const part of parts) {
      for (let i = 0; i < part.marks.length; i += 2) {
        const start = length + part.marks[i];
        if (marks.at(-1) === start) marks.pop();
        else marks.push(start);
        marks.push(length + part.marks[i + 1]);
      }
      length += part.value.length;
    }
    return new TemplateText(parts.map((part) => part.value).join(""), marks);
  }

  get isMarked(): boolean {
    return this.marks.length > 0;
  }

  /** In characters. */
  get length(): number {
    return hasPairs(this.value) ? [...this.value].length : this.value.length;
  }

  slice(start: number, end = this.value.length): TemplateText {
    const marks: number[] = [];
    for (let i = 0; i < this.marks.length; i += 2) {
      const from = Math.max(this.marks[i], start);
      const to = Math.min(this.marks[i + 1], end);
      if (from < to) marks.push(from - start, to - start);
    }
    return new TemplateText(this.value.slice(start, end), marks);
  }

  /** The characters, each by itself. */
  characters(): TemplateText[] {
    let at = 0;
    return [...this.value].map((character) => this.slice(at, at += character.length));
  }

  /** Another text that was made of this one as a whole. */
  derive(value: string): TemplateText {
    return this.isMarked ? TemplateText.marked(value) : new TemplateText(value);
  }

  /** The text with every character replaced, marks where they were. */
  mapCharacters(change: (text: string) => string): TemplateText {
    if (!this.isMarked) return new TemplateText(change(this.value));
    const changed = change(this.value);
    // Some letters change their length with their case, such as "ß".
    return changed.length === this.value.length ? new TemplateText(changed, this.marks) : TemplateText.marked(changed);
  }

  /** The parts before, between and after the occurrences of `separator`, of which at most `limit` count. */
  split(separator: string, limit = Infinity): TemplateText[] {
    const parts: TemplateText[] = [];
    let start = 0;
    while (parts.length < limit) {
      const at = this.value.indexOf(separator, start);
      if (at < 0) break;
      parts.push(this.slice(start, at));
      start = at + separator.length;
    }
    parts.push(this.slice(start));
    return parts;
  }

  /** Without the characters of `characters`, white space by default, at either end. */
  trim(characters?: string, { start = true, end = true } = {}): TemplateText {
    const drops = characters === undefined
      ? (character: string) => WHITE_SPACE.test(character)
      : (character: string) => characters.includes(character);
    let from = 0;
    let to = this.value.length;
    while (start && from < to && drops(this.value[from])) from++;
    while (end && to > from && drops(this.value[to - 1])) to--;
    return from === 0 && to === this.value.length ? this : this.slice(from, to);
  }
}

/** What Python's `str.isspace` calls white space. */
// deno-lint-ignore no-control-regex -- the separators U+001C to U+001F are white space to Python
export const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

function hasPairs(text: string): boolean {
  return /[\ud800-\udbff]/.test(text);
}
