/** @file llama.cpp's vectors of generating models, see tools/golden/embeddings.mjs; and those of engines. */
import assert from "node:assert/strict";
import type { Generation, GenerationEvent, PromptPooling } from "../../src/contract/generation.ts";

/** By model of {@link EMBEDDING_MODELS}: not scaled. */
export async function goldenVectors(): Promise<Record<string, number[]>> {
  const url = new URL("../golden/embeddings.json", import.meta.url);
  return JSON.parse(await Deno.readTextFile(url)).vectors;
}

/** What each model's file says. */
export const GOLDEN_POOLINGS: Readonly<Record<string, PromptPooling>> = {
  "llama": "last",
  "llama mean": "mean",
  "llama first": "first",
  "qwen2 mean": "mean",
  "qwen3 last": "last",
};

/** The vector among a sequence's events, which must be those of an embedding. */
export function vectorOf(events: readonly GenerationEvent[]): Float32Array {
  assert.deepEqual(events.map(({ type }) => type), ["prefilled", "embedding", "finished"]);
  const [, event] = events;
  return (event as Extract<GenerationEvent, { type: "embedding" }>).values;
}

export async function readVector({ events }: Generation): Promise<Float32Array> {
  return vectorOf(await Array.fromAsync(events));
}

/** Two layers of f32 sums; elements have a deviation of 1. llama.cpp's are rounded to six digits. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4): void {
  assert.equal(actual.length, expected.length);
  const error = Array.from(actual, (value, i) => Math.abs(value - expected[i])).reduce((a, b) => Math.max(a, b));
  assert.ok(error <= tolerance, `vectors differ by ${error}`);
}
