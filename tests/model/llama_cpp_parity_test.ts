/**
 * @file The GPU's forward pass against llama.cpp's recorded answers, against exact arithmetic for every weight type, and
 * against itself with the same weights from GGUF and from Hugging Face files.
 */
import assert from "node:assert/strict";
import { openModel } from "../../src/formats/open.ts";
import type { KvElement } from "../../src/kernels/kv_element.ts";
import { withDirectory, withFile } from "../support/files.ts";
import {
  GOLDEN_MODELS,
  GOLDEN_PROMPT,
  goldenTolerance,
  readGoldens,
  STORIES_MODEL,
  type TokenLogProbability,
} from "../../fixtures/golden_models.ts";
import { testGpu } from "../../fixtures/gpu.ts";
import { greedy, type GreedyResult, loadTestModel } from "../support/greedy.ts";
import { referenceLogits } from "../support/reference_forward.ts";
import { tinyGguf, type TinyModelOptions, tinySafetensors } from "../../fixtures/tiny_model.ts";

const goldens = await readGoldens();

/** Continues one prompt greedily. All tests share a device, and with it the kernels that their models share. */
async function run(
  path: string,
  prompt: readonly number[],
  count: number,
  kvElement: KvElement = "f16",
): Promise<GreedyResult> {
  const serving = { contextLength: 64, maxBatch: 1, kvElement, kvMemory: 2 ** 20 };
  const model = await loadTestModel(await testGpu(), path, serving);
  const [result] = await greedy(model, [prompt], count);
  return result;
}

function logProbabilities(logits: Float32Array): Float64Array {
  const highest = Math.max(...logits);
  const logSum = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
  return Float64Array.from(logits, (logit) => logit - logSum);
}

function assertLogProbabilities(
  { logits }: GreedyResult,
  top: readonly TokenLogProbability[][],
  tolerance: number,
): void {
  for (const [step, stepLogits] of logits.entries()) {
    const actual = logProbabilities(stepLogits);
    for (const [token, expected] of top[step]) {
      assert.ok(
        Math.abs(actual[token] - expected) <= tolerance,
        `log-probability of ${token} at step ${step} is ${actual[token]}, llama.cpp's is ${expected}`,
      );
    }
  }
}

async function assertGolden(name: string, path: string): Promise<void> {
  const { prompt, tokens, top, topF32Cache } = goldens[name];
  // A pass of exact arithmetic over the same cache is as far from llama.cpp: what is tolerated is llama.cpp's rounding.
  const result = await run(path, prompt, tokens.length);
  assert.deepEqual(result.tokens, tokens);
  assertLogProbabilities(result, top, goldenTolerance(name));
  if (topF32Cache === undefined) return;
  // Here nothing is rounded but f32 arithmetic. Four tokens: the first from prefill, the others from decoding.
  assertLogProbabilities(await run(path, prompt, 4, "f32"), topF32Cache, 1e-4);
}

/** The largest difference of two vectors of logits. */
function largestError(actual: Float32Array, expected: Float32Array | Float64Array): number {
  return Math.max(...actual.map((logit, token) => Math.abs(logit - expected[token])));
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

for (const options of Object.values(GOLDEN_MODELS)) {
  if (options.type === undefined) continue;
  // llama.cpp rounds activations to 8 bits where weights are quantised: only exact arithmetic shows small errors.
  Deno.test(`the GPU's logits of ${options.type} weights are those of exact arithmetic`, async () => {
    await withFile(tinyGguf(options), async (path) => {
      const { tokens, logits } = await run(path, GOLDEN_PROMPT, 3, "f32");
      const file = await openModel(path);
      const expected = await referenceLogits(file, [...GOLDEN_PROMPT, ...tokens]);
      file.close();
      for (const [step, actual] of logits.entries()) {
        const error = largestError(actual, expected[GOLDEN_PROMPT.length - 1 + step]);
        // Two layers of f32 sums over 256 elements; logits have a deviation of 2.
        assert.ok(error < 1e-4, `step ${step}: logits differ by ${error}`);
      }
    });
  });
}

/** Llama and InternLM2 pair the rotated dimensions of a head differently in GGUF, and InternLM2 packs its weights. */
const IN_BOTH_FORMATS: readonly TinyModelOptions[] = [
  { architecture: "llama", seed: 51 },
  { architecture: "qwen2", seed: 37, tied: true },
  { architecture: "qwen3", seed: 1, headSize: 32 },
  { architecture: "internlm2", seed: 51, attentionBias: true },
];

for (const options of IN_BOTH_FORMATS) {
  Deno.test(`${options.architecture} gives the same logits from Hugging Face files as from GGUF`, async () => {
    const fromGguf = await withFile(tinyGguf(options), (path) => run(path, GOLDEN_PROMPT, 4, "f32"));
    const files = tinySafetensors(options);
    const fromHuggingFace = await withDirectory(files, (path) => run(path, GOLDEN_PROMPT, 4, "f32"));
    assert.deepEqual(fromHuggingFace.tokens, fromGguf.tokens);
    for (const [step, actual] of fromHuggingFace.logits.entries()) {
      const error = largestError(actual, fromGguf.logits[step]);
      // The elements of a head in another order: f32 sums differ in their last bits.
      assert.ok(error < 1e-4, `step ${step}: logits differ by ${error}`);
    }
  });
}
