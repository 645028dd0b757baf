/** @file People, things and numbers, drawn without repetition from the half that a split may use. */
import type { Random } from "./random.ts";
import { type Split, splitOf } from "./split.ts";
import { ADJECTIVES, FIRST_NAMES, LAST_NAMES, OBJECTS } from "./words.ts";

/** Draws what a sample speaks of; nothing is drawn twice. */
export class Entities {
  readonly #random: Random;
  readonly #split: Split;
  readonly #drawn = new Set<string>();

  constructor(random: Random, split: Split) {
    this.#random = random;
    this.#split = split;
  }

  /** A person's first and last name; neither part is used twice while others are left. */
  person(): string {
    return this.#combine(FIRST_NAMES, LAST_NAMES);
  }

  /** A thing such as `silver lamp`; the noun alone may be drawn again. */
  thing(nouns: readonly string[] = OBJECTS): string {
    return this.#draw(() => `${this.#random.pick(ADJECTIVES)} ${this.#random.pick(nouns)}`);
  }

  /** A thing that shares neither adjective nor noun with an earlier one of this kind, while others are left. */
  distinctThing(): string {
    const unused = (list: readonly string[]) => {
      const left = list.filter((word) => !this.#drawn.has(word));
      return left.length > 0 ? left : list;
    };
    const adjectives = unused(ADJECTIVES);
    const nouns = unused(OBJECTS);
    return this.#draw(() => `${this.#random.pick(adjectives)} ${this.#random.pick(nouns)}`, true);
  }

  /** A number of `digits` digits, the first not zero. */
  number(digits: number): string {
    return this.#draw(() => String(this.#random.between(10 ** (digits - 1), 10 ** digits - 1)));
  }

  #combine(first: readonly string[], second: readonly string[]): string {
    let attempts = 0;
    return this.#draw(() => {
      // Once most parts are in use, insisting on fresh ones would not end.
      const fresh = (list: readonly string[]) => {
        let word = this.#random.pick(list);
        for (let i = 0; i < 4 && attempts < 40 && this.#drawn.has(word); i++) word = this.#random.pick(list);
        return word;
      };
      attempts++;
      return `${fresh(first)} ${fresh(second)}`;
    }, true);
  }

  #draw(propose: () => string, withParts = false): string {
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const proposal = propose();
      if (this.#drawn.has(proposal) || splitOf(proposal) !== this.#split) continue;
      this.#drawn.add(proposal);
      if (withParts) proposal.split(" ").forEach((part) => this.#drawn.add(part));
      return proposal;
    }
    throw new RangeError(`No unused name is left in the ${this.#split} half after ${this.#drawn.size} draws`);
  }
}
