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

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };

/** Immutable. Offsets are in UTF-16 units unless they are said to be characters, which are code points as in Python. */
export class TemplateText {
  /**
   * @param value the text itself
   * @param marks the parts that came from the client: `[start, end, start, end, ...]`, ascending, none empty
   * @param isSafe whether it is what Python calls Markup, as `|safe` and `|escape` make it: text that is put to it is escaped
   */
  constructor(readonly value: string, readonly marks: readonly number[] = UNMARKED, readonly isSafe = false) {}

  /** A text that came from the client. */
  static marked(value: string): TemplateText {
    return new TemplateText(value, value === "" ? UNMARKED : [0, value.length]);
  }

  /** The parts as they are, put together. */
  static join(parts: readonly TemplateText[], isSafe = false): TemplateText {
    if (parts.length === 1 && parts[0].isSafe === isSafe) return parts[0];
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
    return new TemplateText(parts.map((part) => part.value).join(""), marks, isSafe);
  }

  /** The text as Markup, what HTML would take for more than text escaped; Markup stays as it is. */
  escape(): TemplateText {
    if (this.isSafe) return this;
    const escaped = this.value.replace(/[&<>'"]/g, (character) => HTML[character]);
    const marks = escaped.length === this.value.length || !this.isMarked ? this.marks : [0, escaped.length];
    return new TemplateText(escaped, marks, true);
  }

  get isMarked(): boolean {
    return this.marks.length > 0;
  }

  /** In characters. */
  get length(): number {
    let length = this.value.length;
    for (const _ of hasPairs(this.value) ? this.value.matchAll(PAIR) : []) length--;
    return length;
  }

  /** The characters from `start` to before `end`, both from 0 to the length. */
  sliceCharacters(start: number, end: number): TemplateText {
    if (!hasPairs(this.value)) return this.slice(start, Math.max(start, end));
    const offsets = [start, Math.max(start, end)].map((characters) => {
      let at = 0;
      for (let i = 0; i < characters; i++) at += this.value.codePointAt(at)! > 0xffff ? 2 : 1;
      return at;
    });
    return this.slice(offsets[0], offsets[1]);
  }

  slice(start: number, end = this.value.length): TemplateText {
    const marks: number[] = [];
    for (let i = 0; i < this.marks.length; i += 2) {
      const from = Math.max(this.marks[i], start);
      const to = Math.min(this.marks[i + 1], end);
      if (from < to) marks.push(from - start, to - start);
    }
    return new TemplateText(this.value.slice(start, end), marks, this.isSafe);
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
    const changed = change(this.value);
    // Some letters change their length with their case, such as "ß".
    const marks = changed.length === this.value.length || !this.isMarked ? this.marks : [0, changed.length];
    return new TemplateText(changed, marks, this.isSafe);
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
      ? isWhiteSpace
      : (code: number) => characters.includes(String.fromCharCode(code));
    let from = 0;
    let to = this.value.length;
    while (start && from < to && drops(this.value.charCodeAt(from))) from++;
    while (end && to > from && drops(this.value.charCodeAt(to - 1))) to--;
    return from === 0 && to === this.value.length ? this : this.slice(from, to);
  }
}

/** What Python's `str.isspace` calls white space. */
// deno-lint-ignore no-control-regex -- the separators U+001C to U+001F are white space to Python
export const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** The same of a UTF-16 unit; for long runs of it. */
function isWhiteSpace(code: number): boolean {
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
  return WHITE_SPACE.test(String.fromCharCode(code));
}

const PAIR = /[\ud800-\udbff][\udc00-\udfff]/g;

function hasPairs(text: string): boolean {
  return /[\ud800-\udbff]/.test(text);
}
