/** @file The CPU's forward pass against llama.cpp's recorded answers, and against exact arithmetic for every weight type. */
import assert from "node:assert/strict";
import {
  GOLDEN_MODELS,
  GOLDEN_PROMPT,
  goldenTolerance,
  readGoldens,
  STORIES_MODEL,
  type TokenLogProbability,
} from "../../fixtures/golden_models.ts";
import { tinyGguf, type TinyModelOptions, tinySafetensors } from "../../fixtures/tiny_model.ts";
import { openModel } from "../../src/formats/open.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { request } from "../support/engine.ts";
import { withDirectory, withFile } from "../support/files.ts";
import { referenceLogits } from "../support/reference_forward.ts";

const goldens = await readGoldens();

/** How far log-probabilities may lie apart where llama.cpp's cache is rounded to half precision and this one is not. */
const ROUNDED_CACHE = 1e-2;

interface Continued {
  readonly tokens: number[];
  /** Log-probabilities by token, of the likeliest twenty, at each step. */
  readonly logprobs: Map<number, number>[];
}

/** Continues one prompt greedily. */
async function run(path: string, prompt: readonly number[], count: number): Promise<Continued> {
  const model = await loadCpuModel(path, { contextLength: 64, maxBatch: 1, kvMemory: 2 ** 20 });
  const { outcomes: [{ tokens }] } = await runOnCpu(model, [request(prompt, { maxTokens: count, topLogprobs: 20 })]);
  return {
    tokens: tokens.map(({ id }) => id),
    logprobs: tokens.map(({ topLogprobs }) => new Map(topLogprobs!.map(({ id, logprob }) => [id, logprob]))),
  };
}

function assertLogProbabilities(
  { logprobs }: Continued,
  top: readonly TokenLogProbability[][],
  tolerance: number,
): void {
  for (const [step, actual] of logprobs.entries()) {
    for (const [token, expected] of top[step]) {
      const found = actual.get(token);
      assert.ok(
        found !== undefined && Math.abs(found - expected) <= tolerance,
        `log-probability of ${token} at step ${step} is ${found}, llama.cpp's is ${expected}`,
      );
    }
  }
}

async function assertGolden(name: string, path: string): Promise<void> {
  const { prompt, tokens, top, topF32Cache } = goldens[name];
  const result = await run(path, prompt, tokens.length);
  assert.deepEqual(result.tokens, tokens);
  // llama.cpp rounds its cache to half precision and, where weights are quantised, activations to 8 bits.
  assertLogProbabilities(result, top, Math.max(goldenTolerance(name), ROUNDED_CACHE));
  if (topF32Cache === undefined) return;
  // Here nothing is rounded but f32 arithmetic.
  assertLogProbabilities(await run(path, prompt, 4), topF32Cache, 1e-4);
}

for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
  Deno.test(`the CPU continues "${name}" as llama.cpp does`, async () => {
    await withFile(tinyGguf(options), (path) => assertGolden(name, path));
  });
}

const storiesMissing = await Deno.stat(STORIES_MODEL).then(() => false, () => true);
Deno.test({
  name: `the CPU continues stories260K as llama.cpp does${storiesMissing ? ` (no ${STORIES_MODEL})` : ""}`,
  ignore: storiesMissing,
  fn: () => assertGolden("stories260K", STORIES_MODEL),
});

for (const options of Object.values(GOLDEN_MODELS)) {
  if (options.type === undefined) continue;
  Deno.test(`the CPU's log-probabilities of ${options.type} weights are those of exact arithmetic`, async () => {
    await withFile(tinyGguf(options), async (path) => {
      const { tokens, logprobs } = await run(path, GOLDEN_PROMPT, 3);
      const file = await openModel(path);
      const expected = await referenceLogits(file, [...GOLDEN_PROMPT, ...tokens]);
      file.close();
      for (const [step, actual] of logprobs.entries()) {
        const logits = expected[GOLDEN_PROMPT.length - 1 + step];
        const highest = logits.reduce((a, b) => Math.max(a, b));
        const logSum = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
        for (const [token, logprob] of actual) {
          const error = Math.abs(logprob - (logits[token] - logSum));
          // Two layers of f32 sums over 256 elements; logits have a deviation of 2.
          assert.ok(error < 1e-4, `step ${step}: the log-probability of ${token} differs by ${error}`);
        }
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
  Deno.test(`on the CPU, ${options.architecture} continues alike from Hugging Face files and from GGUF`, async () => {
    const fromGguf = await withFile(tinyGguf(options), (path) => run(path, GOLDEN_PROMPT, 4));
    const fromHuggingFace = await withDirectory(tinySafetensors(options), (path) => run(path, GOLDEN_PROMPT, 4));
    assert.deepEqual(fromHuggingFace.tokens, fromGguf.tokens);
    fromHuggingFace.logprobs.forEach((logprobs, step) => {
      for (const [token, logprob] of logprobs) {
        const other = fromGguf.logprobs[step].get(token);
        // The elements of a head in another order: f32 sums differ in their last bits.
        if (other !== undefined) assert.ok(Math.abs(logprob - other) < 1e-4, `step ${step}, token ${token}`);
      }
    });
  });
}
