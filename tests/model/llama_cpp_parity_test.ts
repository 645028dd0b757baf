/**
 * @file The GPU forward pass against llama.cpp's recorded answers, against exact arithmetic for every weight type, and
 * against itself with the same weights from GGUF and from Hugging Face files.
 */
import assert from "node:assert/strict";
import { openModel } from "../../src/formats/open.ts";
import { Gpu } from "../../src/gpu/gpu.ts";
import type { ServingOptions } from "../../src/model/dimensions.ts";
import { withDirectory, withFile } from "../support/files.ts";
import {
  GOLDEN_MODELS,
  GOLDEN_PROMPT,
  goldenTolerance,
  readGoldens,
  STORIES_MODEL,
} from "../support/golden_models.ts";
import { greedy, type GreedyResult, loadTestModel } from "../support/greedy.ts";
import { referenceLogits } from "../support/reference_forward.ts";
import { tinyGguf, type TinyModelOptions, tinySafetensors } from "../support/tiny_model.ts";

const goldens = await readGoldens();

/** Continues one prompt greedily on a device of its own. */
async function run(
  path: string,
  prompt: readonly number[],
  count: number,
  serving: Partial<ServingOptions> = {},
): Promise<GreedyResult> {
  const gpu = await Gpu.open();
  try {
    const model = await loadTestModel(gpu, path, { contextLength: 64, maxBatch: 1, kvMemory: 2 ** 20, ...serving });
    const [result] = await greedy(model, [prompt], count);
    return result;
  } finally {
    gpu.destroy();
  }
}

/** The logarithm of the probabilities of these logits. */
function logProbabilities(logits: Float32Array): Float64Array {
  const highest = Math.max(...logits);
  const logSum = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
  return Float64Array.from(logits, (logit) => logit - logSum);
}

async function assertGolden(name: string, path: string): Promise<void> {
  const { prompt, tokens, top } = goldens[name];
  const t0 = performance.now();
  const result = await run(path, prompt, tokens.length);
  let w = 0;
  for (const [step, logits] of result.logits.entries()) {
    const actual = logProbabilities(logits);
    for (const [token, expected] of top[step]) w = Math.max(w, Math.abs(actual[token] - expected));
  }
  console.log(name, "worst", w, "tolerance", goldenTolerance(name), performance.now() - t0, result.tokens.every((t, i) => t === tokens[i]));
  assert.deepEqual(result.tokens, tokens);
  for (const [step, logits] of result.logits.entries()) {
    const actual = logProbabilities(logits);
    for (const [token, expected] of top[step]) {
      assert.ok(
        Math.abs(actual[token] - expected) <= goldenTolerance(name),
        `log-probability of ${token} at step ${step} is ${actual[token]}, llama.cpp's is ${expected}`,
      );
    }
  }
}

for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
  Deno.test(`the GPU continues "${name}" as llama.cpp does`, async () => {
    await withFile(tinyGguf(options), (path) => assertGolden(name, path));
  });
}

const storiesMissing = await Deno.stat(STORIES_MODEL).then(() => false, () => true);
Deno.test({
  name: `the GPU continues stories260K as llama.cpp does${storiesMissing ? ` (no ${STORIES_MODEL})` : ""}`,
  ignore: storiesMissing,
  fn: () => assertGolden("stories260K", STORIES_MODEL),
});

for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
  if (options.type === undefined) continue;
  Deno.test(`the GPU's logits of ${options.type} weights are those of exact arithmetic`, async () => {
    await withFile(tinyGguf(options), async (path) => {
      // A cache in single precision: rounding to half would turn the last bit of a key into a step of 2^-11.
      const { tokens, logits } = await run(path, GOLDEN_PROMPT, 3, { kvElement: "f32" });
      const file = await openModel(path);
      const expected = await referenceLogits(file, [...GOLDEN_PROMPT, ...tokens]);
      file.close();
      for (const [step, actual] of logits.entries()) {
        const reference = expected[GOLDEN_PROMPT.length - 1 + step];
        const error = Math.max(...actual.map((logit, token) => Math.abs(logit - reference[token])));
        console.log(name, error);
        assert.ok(error < 1e-3, `step ${step}: logits differ by ${error}`);
      }
    });
  });
}

const ARCHITECTURES: readonly TinyModelOptions[] = [
  { architecture: "llama", seed: 51 },
  { architecture: "qwen2", seed: 37, tied: true },
  { architecture: "qwen3", seed: 1, headSize: 32 },
  { architecture: "internlm2", seed: 51, attentionBias: true },
];

for (const options of ARCHITECTURES) {
  Deno.test(`${options.architecture} gives the same logits from Hugging Face files as from GGUF`, async () => {
    const fromGguf = await withFile(tinyGguf(options), (path) => run(path, GOLDEN_PROMPT, 4));
    const fromHuggingFace = await withDirectory(tinySafetensors(options), (path) => run(path, GOLDEN_PROMPT, 4));
    assert.deepEqual(fromHuggingFace.tokens, fromGguf.tokens);
    for (const [step, logits] of fromHuggingFace.logits.entries()) {
      const error = Math.max(...logits.map((logit, token) => Math.abs(logit - fromGguf.logits[step][token])));
      console.log(options.architecture, error);
      assert.ok(error < 2e-3, `step ${step}: logits differ by ${error}`);
    }
  });
}
