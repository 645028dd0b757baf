/** @file What the record's prompts say: text for a model that has learnt to read, numbers for the others. */
import { LENGTHS } from "./cases.ts";
import { randomInteger, seededRandom } from "./program.ts";

const LONGEST = Math.max(...LENGTHS);
const WHO = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo"];
const WHAT = ["key", "lamp", "ticket", "letter", "apple", "map", "coin", "book"];
const WHERE = ["in the garden", "under the table", "at the station", "behind the door", "near the river"];

/** Sentences that differ, of more tokens than the longest prompt. */
export function promptText(): string {
  const random = seededRandom(41);
  const pick = (words: readonly string[]) => words[randomInteger(random, 0, words.length - 1)];
  const sentence = () =>
    `${pick(WHO)} left ${pick(WHAT)} number ${randomInteger(random, 1, 999)} ${pick(WHERE)} and went home. `;
  return Array.from({ length: LONGEST / 5 }, sentence).join("");
}

/** By length. Each is a part of the text that begins elsewhere. */
export function textPrompts(tokens: Uint32Array): Uint32Array[] {
  if (tokens.length < LONGEST + LENGTHS.length) throw new RangeError(`The text has only ${tokens.length} tokens`);
  return LENGTHS.map((length, i) => tokens.slice(i, i + length));
}

/** By length, of ids that every tiny model has. */
export function randomPrompts(): Uint32Array[] {
  const random = seededRandom(7);
  return LENGTHS.map((length) => Uint32Array.from({ length }, () => randomInteger(random, 3, 285)));
}
