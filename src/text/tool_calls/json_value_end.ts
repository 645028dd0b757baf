/** @file Finds where a JSON object or array ends, while it still comes in. */

/** Follows a text that starts with an object or an array. */
export class JsonValueEnd {
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  #at = 0;

  /**
   * @param text everything so far, from the value's first bracket
   * @returns the length of the value; null while its end has not come
   */
  in(text: string): number | null {
    for (; this.#at < text.length; this.#at++) {
      const character = text[this.#at];
      if (this.#inString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (character === "\\") this.#isEscaped = true;
        else if (character === '"') this.#inString = false;
      } else if (character === '"') this.#inString = true;
      else if (character === "{" || character === "[") this.#depth++;
      else if ((character === "}" || character === "]") && --this.#depth === 0) return this.#at + 1;
    }
    return null;
  }
}
