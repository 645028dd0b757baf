/**
 * @file The tiny models for which tests/golden/llama_cpp.json holds llama.cpp's answers, remade from their seeds:
 * tools/golden/llama_cpp.mjs runs them, tests/model/reference_forward_test.ts and the engine's tests compare.
 */

import type { TensorType } from "../../src/formats/model_file.ts";
import type { TinyModelOptions } from "./tiny_model.ts";

/** What every model is asked to continue; its numbers are below every vocabulary. 24 tokens fill a block and a half. */
export const GOLDEN_PROMPT: readonly number[] = [
  1,
  300,
  17,
  265,
  281,
  42,
  190,
  277,
  263,
  5,
  271,
  300,
  288,
  99,
  260,
  283,
  266,
  131,
  294,
  279,
  302,
  268,
  273,
  262,
];

const LARGE_ROWS: Partial<TinyModelOptions> = {
  hiddenSize: 256,
  queryHeads: 4,
  kvHeads: 2,
  headSize: 64,
  feedForwardSize: 256,
};

/** Types with blocks of 256 elements need rows of 256; the others get the same model, so that they can be compared. */
const QUANTISED: readonly TensorType[] = [
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q4_K",
  "Q5_K",
  "Q6_K",
];

export const GOLDEN_MODELS: Readonly<Record<string, TinyModelOptions>> = {
  "llama": { architecture: "llama" },
  "llama tied": { architecture: "llama", tied: true },
  "llama attention bias": { architecture: "llama", attentionBias: true },
  "llama head size 8": { architecture: "llama", queryHeads: 8, kvHeads: 4, headSize: 8 },
  "llama head size 64": { architecture: "llama", queryHeads: 6, kvHeads: 2, headSize: 64, layers: 3 },
  "llama head size 128": { architecture: "llama", queryHeads: 2, kvHeads: 1, headSize: 128 },
  "llama multi-head": { architecture: "llama", queryHeads: 4, kvHeads: 4 },
  "llama partial rotary": { architecture: "llama", ropeDimensions: 8 },
  "llama linear": { architecture: "llama", ropeScaling: { type: "linear", factor: 4 } },
  "llama llama3": {
    architecture: "llama",
    ropeBase: 500000,
    headSize: 64,
    ropeScaling: { type: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
  },
  "llama yarn": {
    architecture: "llama",
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
  "qwen2": { architecture: "qwen2" },
  "qwen2 tied": { architecture: "qwen2", tied: true, queryHeads: 7, kvHeads: 1 },
  "qwen2 yarn": {
    architecture: "qwen2",
    headSize: 32,
    ropeBase: 1000000,
    ropeScaling: {
      type: "yarn",
      factor: 8,
      originalContext: 64,
      attentionFactor: 1.5,
      betaFast: 16,
      betaSlow: 2,
    },
  },
  "qwen3": { architecture: "qwen3", headSize: 32 },
  "qwen3 tied": { architecture: "qwen3", tied: true, headSize: 128, queryHeads: 2, kvHeads: 1 },
  "internlm2": { architecture: "internlm2" },
  "internlm2 linear": {
    architecture: "internlm2",
    queryHeads: 8,
    kvHeads: 2,
    ropeScaling: { type: "linear", factor: 2 },
  },
  ...Object.fromEntries(
    QUANTISED.map((type) => [`llama ${type}`, { architecture: "llama", type, ...LARGE_ROWS } as TinyModelOptions]),
  ),
};

/** A real trained model, not part of the repository; tests that need it skip where it is missing. */
export const STORIES_MODEL = "../shared/models/stories260K.gguf";

/** "Once upon a time", with the beginning of the sequence before it. */
export const STORIES_PROMPT: readonly number[] = [1, 403, 407, 261, 378];
