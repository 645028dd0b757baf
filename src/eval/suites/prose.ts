/** @file The prose in which needles are hidden. */
import { pick, type Random } from "./random.ts";
import { ADJECTIVES, NOUNS } from "./words.ts";

const VERBS = [
  ...["followed", "watched", "remembered", "painted", "carried", "visited", "questioned", "admired", "helped", "found"],
  ...["avoided", "described", "greeted", "ignored", "measured", "noticed", "praised", "pushed", "shadowed", "trusted"],
];
const PLACES = [
  ...["in the garden", "by the river", "after dinner", "on the hill", "near the station", "at noon", "behind the mill"],
  ...["without a word", "under the bridge", "before the storm", "along the shore", "for a whole year", "on Sundays"],
];

/** Prose that says nothing, where the user names no text: `sentences` sentences. */
export function fillerProse(random: Random, sentences: number): string {
  const thing = () => `${pick(random, ADJECTIVES)} ${pick(random, NOUNS)}`;
  const sentence = () => `The ${thing()} ${pick(random, VERBS)} the ${thing()} ${pick(random, PLACES)}.`;
  return Array.from({ length: sentences }, sentence).join(" ");
}

const SEGMENTER = new Intl.Segmenter("en", { granularity: "sentence" });

/** The sentences of a text, without white space around them. */
export function sentencesOf(text: string): string[] {
  return Array.from(SEGMENTER.segment(text), ({ segment }) => segment.trim()).filter((sentence) => sentence !== "");
}

/** The first `count` items of a list that is repeated as often as needed. */
export function repeated<T>(items: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, index) => items[index % items.length]);
}
