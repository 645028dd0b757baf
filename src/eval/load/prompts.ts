/** @file The prompts of a load: random words, random words behind shared beginnings, or recorded conversations. */
import { z } from "zod";
import { Random } from "../tasks/random.ts";

/** What is asked once. */
export interface LoadRequest {
  readonly prompt: string;
  readonly maxTokens: number;
}

/** Where prompts come from. */
export const DATASETS = ["random", "prefix", "sharegpt"] as const;

/** How long prompts and answers are, in tokens. */
export interface LoadLengths {
  readonly input: number;
  readonly output: number;
  /** How far lengths differ from these: from `1 - spread` to `1 + spread` times as long. */
  readonly spread: number;
  /** What prompts that begin alike share, beside their `input`. */
  readonly prefix: number;
  /** Different beginnings. */
  readonly prefixes: number;
}

/** How many words make so many tokens, for one model. */
export type WordsPer = (tokens: number) => number;

const SYLLABLES = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"];

/** Words that no cache has met before, for another seed. */
export function randomText(random: Random, words: number): string {
  const word = () => Array.from({ length: random.between(1, 3) }, () => random.pick(SYLLABLES)).join("");
  return Array.from({ length: Math.max(1, Math.round(words)) }, word).join(" ");
}

/** Requests with random words; with `prefixes`, these take turns. */
export function randomRequests(
  count: number,
  { input, output, spread, prefix, prefixes }: LoadLengths,
  seed: number,
  wordsPer: WordsPer,
): LoadRequest[] {
  const random = new Random(`load ${seed}`);
  const beginnings = Array.from({ length: prefixes }, () => randomText(random, wordsPer(prefix)));
  const around = (length: number) =>
    Math.max(1, random.between(Math.round(length * (1 - spread)), Math.round(length * (1 + spread))));
  return Array.from({ length: count }, (_, at) => {
    const own = randomText(random, wordsPer(around(input)));
    const prompt = prefixes > 0 ? `${beginnings[at % prefixes]} ${own}` : own;
    return { prompt, maxTokens: around(output) };
  });
}

const turn = z.object({ value: z.string() });
const conversations = z.array(z.object({ conversations: z.array(turn) }));

/**
 * Requests with the first turns of conversations in the form of ShareGPT: `[{"conversations": [{"from", "value"}, ...]}]`.
 *
 * @throws {Error} if the text is none, or holds no conversation of two turns
 */
export function recordedRequests(text: string, count: number, output: number, seed: number): LoadRequest[] {
  const parsed = conversations.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error('expected [{"conversations": [{"from": ..., "value": ...}, ...]}, ...]');
  const openings = parsed.data.flatMap(({ conversations: [first, second] }) =>
    first?.value && second?.value ? [first.value] : []
  );
  if (openings.length === 0) throw new Error("expected at least one conversation of two turns");
  const shuffled = new Random(`load ${seed}`).shuffled(openings);
  return Array.from({ length: count }, (_, at) => ({ prompt: shuffled[at % shuffled.length], maxTokens: output }));
}
