/**
 * @file RULER's eight needle tasks: "One of the special magic numbers for wandering-age is: 8090293." among repeated
 * sentences, prose, or other such needles. Sizes are lines, or words of prose.
 */
import { stringMatchAll } from "../../metrics/string_match.ts";
import { repeated, sentencesOf } from "../prose.ts";
import { drawNew, pick, pickDifferent, type Random, randomInteger, shuffled } from "../random.ts";
import { ADJECTIVES, NOUNS } from "../words.ts";
import { NOISE } from "./noise.ts";
import type { RulerTask } from "./task.ts";

type Kind = "words" | "numbers" | "uuids";

/** What is hidden in what, and what is asked. */
export interface NeedleTaskOptions {
  readonly haystack: "noise" | "essay" | "needles";
  readonly key: Kind;
  readonly value: Kind;
  readonly keys: number;
  readonly valuesPerKey: number;
  /** How many of the keys are asked for. */
  readonly queries: number;
}

/** The eight tasks, as `synthetic.yaml` of RULER defines them. */
export const NEEDLE_TASKS: Readonly<Record<string, NeedleTaskOptions>> = {
  niah_single_1: { haystack: "noise", key: "words", value: "numbers", keys: 1, valuesPerKey: 1, queries: 1 },
  niah_single_2: { haystack: "essay", key: "words", value: "numbers", keys: 1, valuesPerKey: 1, queries: 1 },
  niah_single_3: { haystack: "essay", key: "words", value: "uuids", keys: 1, valuesPerKey: 1, queries: 1 },
  niah_multikey_1: { haystack: "essay", key: "words", value: "numbers", keys: 4, valuesPerKey: 1, queries: 1 },
  niah_multikey_2: { haystack: "needles", key: "words", value: "numbers", keys: 1, valuesPerKey: 1, queries: 1 },
  niah_multikey_3: { haystack: "needles", key: "uuids", value: "uuids", keys: 1, valuesPerKey: 1, queries: 1 },
  niah_multivalue: { haystack: "essay", key: "words", value: "numbers", keys: 1, valuesPerKey: 4, queries: 1 },
  niah_multiquery: { haystack: "essay", key: "words", value: "numbers", keys: 4, valuesPerKey: 1, queries: 4 },
};

/** Forty depths, evenly spaced from 0 to 100 per cent, in whole per cent. */
const DEPTHS = Array.from({ length: 40 }, (_, i) => Math.round(100 * i / 39));

/** @param essay the words of the prose, which is repeated if it is too short */
export function needleTask(options: NeedleTaskOptions, essay: readonly string[]): RulerTask {
  const { haystack, key, value, keys, valuesPerKey, queries } = options;
  return {
    maxNewTokens: 128,
    metric: stringMatchAll,
    smallestSize: keys * valuesPerKey,
    build(random, size) {
      const used = new Set<string>();
      const drawn = (kind: Kind) => drawNew(used, () => draw(random, kind));
      const entries = Array.from({ length: keys }, () => ({
        key: drawn(key),
        values: Array.from({ length: valuesPerKey }, () => drawn(value)),
      }));
      const needles = shuffled(
        random,
        entries.flatMap(({ key, values }) => values.map((one) => needle(options.value, key, one))),
      );
      const text = haystack === "essay"
        ? hiddenInProse(random, needles, repeated(essay, size).join(" "))
        : hiddenInLines(random, needles, haystackLines(haystack, size, () => needle(value, drawn(key), drawn(value))));
      const asked = pickDifferent(random, entries, queries);
      return {
        ...worded(value, enumeration(asked.map(({ key }) => key)), text, queries * valuesPerKey === 1),
        answers: asked.flatMap(({ values }) => values),
      };
    },
  };
}

function needle(kind: Kind, key: string, value: string): string {
  return `One of the special magic ${kind} for ${key} is: ${value}.`;
}

function haystackLines(haystack: "noise" | "needles", count: number, otherNeedle: () => string): string[] {
  return Array.from({ length: count }, haystack === "noise" ? () => NOISE : otherNeedle);
}

function hiddenInLines(random: Random, needles: readonly string[], lines: string[]): string {
  const places = pickDifferent(random, [...lines.keys()], needles.length).sort((a, b) => b - a);
  for (const [index, place] of places.entries()) lines.splice(place, 0, needles[index]);
  return lines.join("\n");
}

/** Between sentences, at different depths of the forty. */
function hiddenInProse(random: Random, needles: readonly string[], text: string): string {
  const sentences = sentencesOf(text);
  const count = sentences.length;
  // The deepest comes first, so that the others' places stay what they are.
  const depths = pickDifferent(random, DEPTHS, needles.length).sort((a, b) => b - a);
  for (const [index, depth] of depths.entries()) {
    sentences.splice(Math.floor(count * depth / 100), 0, needles[index]);
  }
  return sentences.join(" ");
}

/** The prompt's words, in the singular where one value is asked for. */
function worded(kind: Kind, query: string, text: string, single: boolean) {
  const one = kind.slice(0, -1);
  return single
    ? {
      context: `A special magic ${one} is hidden within the following text. Make sure to memorize it. ` +
        `I will quiz you about the ${one} afterwards.\n${text}`,
      question: `\nWhat is the special magic ${one} for ${query} mentioned in the provided text?`,
      answerPrefix: ` The special magic ${one} for ${query} mentioned in the provided text is`,
    }
    : {
      context: `Some special magic ${kind} are hidden within the following text. Make sure to memorize it. ` +
        `I will quiz you about the ${kind} afterwards.\n${text}`,
      question: `\nWhat are all the special magic ${kind} for ${query} mentioned in the provided text?`,
      answerPrefix: ` The special magic ${kind} for ${query} mentioned in the provided text are`,
    };
}

/** "a", "a, and b", "a, b, and c". */
function enumeration(items: readonly string[]): string {
  return items.length === 1 ? items[0] : `${items.slice(0, -1).join(", ")}, and ${items.at(-1)}`;
}

function draw(random: Random, kind: Kind): string {
  switch (kind) {
    case "words":
      return `${pick(random, ADJECTIVES)}-${pick(random, NOUNS)}`;
    case "numbers":
      return String(randomInteger(random, 1_000_000, 9_999_999));
    case "uuids":
      return randomUuid(random);
  }
}

/** Of version 4. */
function randomUuid(random: Random): string {
  return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(
    /[xy]/g,
    (place) => pick(random, place === "x" ? "0123456789abcdef" : "89ab"),
  );
}
