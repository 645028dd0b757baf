/**
 * @file The tiny models for which tests/golden/llama_cpp.json holds llama.cpp's answers, remade from their seeds:
 * tools/golden/llama_cpp.mjs runs them, tests/model/reference_forward_test.ts and the engine's tests compare.
 */

import type { TensorType } from "../../src/formats/model_file.ts";
import type { TinyModelOptions } from "./tiny_model.ts";

/** What every model is asked to continue; its numbers are below every vocabulary. 24 tokens fill a block and a half. */
// deno-fmt-ignore
export const GOLDEN_PROMPT: readonly number[] = [
  1, 300, 17, 265, 281, 42, 190, 277, 263, 5, 271, 300, 288, 99, 260, 283, 266, 131, 294, 279, 302, 268, 273, 262,
];

/** Some types have blocks of 256 elements, which rows must be multiples of. */
const LARGE_ROWS: Partial<TinyModelOptions> = {
  hiddenSize: 256,
  queryHeads: 4,
  kvHeads: 2,
  headSize: 64,
  feedForwardSize: 256,
};

/** Every type that matrices may be stored in, with a seed. */
const TYPE_SEEDS: Readonly<Partial<Record<TensorType, number>>> = {
  F16: 67,
  BF16: 67,
  Q8_0: 89,
  Q4_0: 25,
  Q4_1: 19,
  Q5_0: 33,
  Q5_1: 54,
  Q4_K: 61,
  Q5_K: 90,
  Q6_K: 36,
};

/**
 * Seeds are chosen so that the comparison tells something: at least 11 of the 16 greedy tokens differ, each leads the
 * next best by 0.1 and more (0.03 for Q4_0), and half-precision rounding moves no log-probability by 5e-3.
 */
export const GOLDEN_MODELS: Readonly<Record<string, TinyModelOptions>> = {
  "llama": { architecture: "llama", seed: 51 },
  "llama tied": { architecture: "llama", seed: 144, tied: true },
  "llama attention bias": { architecture: "llama", seed: 37, attentionBias: true },
  "llama head size 8": { architecture: "llama", seed: 15, queryHeads: 8, kvHeads: 4, headSize: 8 },
  "llama head size 64": { architecture: "llama", seed: 73, queryHeads: 6, kvHeads: 2, headSize: 64, layers: 3 },
  "llama head size 128": { architecture: "llama", seed: 11, queryHeads: 2, kvHeads: 1, headSize: 128 },
  "llama multi-head": { architecture: "llama", seed: 53, queryHeads: 4, kvHeads: 4 },
  "llama linear": { architecture: "llama", seed: 37, ropeScaling: { type: "linear", factor: 4 } },
  "llama llama3": {
    architecture: "llama",
    seed: 22,
    ropeBase: 500000,
    headSize: 64,
    ropeScaling: { type: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
  },
  "llama yarn": {
    architecture: "llama",
    seed: 20,
    headSize: 64,
    ropeScaling: {
      type: "yarn",
      factor: 4,
      originalContext: 128,
      attentionFactor: 0.1 * Math.log(4) + 1,
      betaFast: 32,
      betaSlow: 1,
    },
  },
  "qwen2": { architecture: "qwen2", seed: 37 },
  "qwen2 tied": { architecture: "qwen2", seed: 6, tied: true, hiddenSize: 112, queryHeads: 7, kvHeads: 1 },
  "qwen2 yarn": {
    architecture: "qwen2",
    seed: 721,
    queryHeads: 2,
    kvHeads: 1,
    headSize: 32,
    ropeBase: 1000000,
    ropeScaling: {
      type: "yarn",
      factor: 8,
      originalContext: 64,
      attentionFactor: 1.5,
      betaFast: 32,
      betaSlow: 1,
    },
  },
  "qwen3": { architecture: "qwen3", seed: 1, headSize: 32 },
  "qwen3 tied": { architecture: "qwen3", seed: 79, tied: true, headSize: 128, queryHeads: 2, kvHeads: 1 },
  "internlm2": { architecture: "internlm2", seed: 51 },
  "internlm2 linear": {
    architecture: "internlm2",
    seed: 17,
    queryHeads: 8,
    kvHeads: 2,
    headSize: 8,
    ropeScaling: { type: "linear", factor: 2 },
  },
  ...Object.fromEntries(
    Object.entries(TYPE_SEEDS).map(([type, seed]): [string, TinyModelOptions] => [
      `llama ${type}`,
      { architecture: "llama", seed, type: type as TensorType, ...LARGE_ROWS },
    ]),
  ),
};

/** A real trained model, not part of the repository; tests that need it skip where it is missing. */
export const STORIES_MODEL = "../shared/models/stories260K.gguf";

/** "Once upon a time", with the beginning of the sequence before it. */
export const STORIES_PROMPT: readonly number[] = [1, 403, 407, 261, 378];

/** What llama.cpp made of a model: see tools/golden/llama_cpp.mjs. */
export interface Golden {
  /** Of the model's file. */
  readonly sha256: string;
  readonly prompt: readonly number[];
  /** The 16 greedy tokens after the prompt. */
  readonly tokens: readonly number[];
  /** For each of them the five most probable tokens, most probable first. */
  readonly top: readonly TokenLogProbability[][];
  /** The same with a KV cache in single precision; only for files whose weights are all F32. */
  readonly topF32Cache?: readonly TokenLogProbability[][];
}

export type TokenLogProbability = readonly [token: number, logProbability: number];

/** The goldens by the name of the model: those of {@linkcode GOLDEN_MODELS}, and `stories260K`. */
export async function readGoldens(): Promise<Record<string, Golden>> {
  const path = new URL("../golden/llama_cpp.json", import.meta.url);
  return JSON.parse(await Deno.readTextFile(path)).models;
}

/**
 * How far log-probabilities may be from llama.cpp's, whose cache is in half precision. What exact arithmetic on the same
 * file and cache leaves is llama.cpp's own rounding: of queries and attention probabilities to half precision (5e-3; a
 * little more for stories260K, where one of the five has a probability of e^-8), with F16 and BF16 weights also of all
 * activations, with quantised weights of activations to 8 bits.
 */
export function goldenTolerance(name: string): number {
  const type = GOLDEN_MODELS[name]?.type;
  if (type === undefined) return name === "stories260K" ? 6e-3 : 5e-3;
  return type === "F16" ? 0.02 : type === "BF16" ? 0.06 : 0.2;
}
