/**
 * @file What a forward pass is held to, whatever computes it: llama.cpp's recorded answers, exact arithmetic for every weight
 * type, and itself with the same weights from GGUF and from Hugging Face files.
 */
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
import type { KvElement } from "../../src/kernels/kv_element.ts";
import { withDirectory, withFile } from "./files.ts";
import { referenceLogits } from "./reference_forward.ts";

/** A prompt continued greedily. */
export interface Continued {
  readonly tokens: readonly number[];
  /** Log-probabilities by token at each step: of the likeliest twenty at least. */
  readonly logprobs: readonly ReadonlyMap<number, number>[];
}

/** Continues a prompt by `count` tokens. */
export type Run = (path: string, prompt: readonly number[], count: number, cache: KvElement) => Promise<Continued>;

/** Two layers of f32 sums over 256 elements, or the elements of a head in another order; logits have a deviation of 2. */
const F32_ROUNDING = 1e-4;

/** Llama and InternLM2 pair the rotated dimensions of a head differently in GGUF, and InternLM2 packs its weights. */
const IN_BOTH_FORMATS: readonly TinyModelOptions[] = [
  { architecture: "llama", seed: 51 },
  { architecture: "qwen2", seed: 37, tied: true },
  { architecture: "qwen3", seed: 1, headSize: 32 },
  { architecture: "internlm2", seed: 51, attentionBias: true },
];

/** Log-probabilities of all tokens. */
export function logProbabilities(logits: ArrayLike<number>): Map<number, number> {
  const values = Array.from(logits);
  const highest = Math.max(...values);
  const logSum = highest + Math.log(values.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
  return new Map(values.map((logit, token) => [token, logit - logSum]));
}

/**
 * Declares the tests.
 *
 * @param device names what computes
 * @param roundedCache how far log-probabilities may lie at least from llama.cpp's with a cache in half precision
 */
export async function testForwardParity(device: string, run: Run, roundedCache: number): Promise<void> {
  const goldens = await readGoldens();

  async function assertGolden(name: string, path: string): Promise<void> {
    const { prompt, tokens, top, topF32Cache } = goldens[name];
    // A pass of exact arithmetic over the same cache is as far from llama.cpp: what is tolerated is llama.cpp's rounding.
    const result = await run(path, prompt, tokens.length, "f16");
    assert.deepEqual(result.tokens, tokens);
    assertLogProbabilities(result, top, Math.max(goldenTolerance(name), roundedCache));
    if (topF32Cache === undefined) return;
    // Here nothing is rounded but f32 arithmetic. Four tokens: the first from prefill, the others from decoding.
    assertLogProbabilities(await run(path, prompt, 4, "f32"), topF32Cache, F32_ROUNDING);
  }

  for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
    Deno.test(`the ${device} continues "${name}" as llama.cpp does`, async () => {
      await withFile(tinyGguf(options), (path) => assertGolden(name, path));
    });
  }

  const storiesMissing = await Deno.stat(STORIES_MODEL).then(() => false, () => true);
  Deno.test({
    name: `the ${device} continues stories260K as llama.cpp does${storiesMissing ? ` (no ${STORIES_MODEL})` : ""}`,
    ignore: storiesMissing,
    fn: () => assertGolden("stories260K", STORIES_MODEL),
  });

  for (const options of Object.values(GOLDEN_MODELS)) {
    if (options.type === undefined) continue;
    // llama.cpp rounds activations to 8 bits where weights are quantised: only exact arithmetic shows small errors.
    Deno.test(`the ${device}'s log-probabilities of ${options.type} weights are those of exact arithmetic`, async () => {
      await withFile(tinyGguf(options), async (path) => {
        const { tokens, logprobs } = await run(path, GOLDEN_PROMPT, 3, "f32");
        const file = await openModel(path);
        const expected = await referenceLogits(file, [...GOLDEN_PROMPT, ...tokens]);
        file.close();
        for (const [step, actual] of logprobs.entries()) {
          const exact = logProbabilities(expected[GOLDEN_PROMPT.length - 1 + step]);
          for (const [token, logprob] of actual) {
            const error = Math.abs(logprob - exact.get(token)!);
            assert.ok(error < F32_ROUNDING, `step ${step}: the log-probability of ${token} differs by ${error}`);
          }
        }
      });
    });
  }

  for (const options of IN_BOTH_FORMATS) {
    Deno.test(`on the ${device}, ${options.architecture} continues alike from Hugging Face files and from GGUF`, async () => {
      const fromGguf = await withFile(tinyGguf(options), (path) => run(path, GOLDEN_PROMPT, 4, "f32"));
      const files = tinySafetensors(options);
      const fromHuggingFace = await withDirectory(files, (path) => run(path, GOLDEN_PROMPT, 4, "f32"));
      assert.deepEqual(fromHuggingFace.tokens, fromGguf.tokens);
      fromHuggingFace.logprobs.forEach((logprobs, step) => {
        let compared = 0;
        for (const [token, logprob] of logprobs) {
          const other = fromGguf.logprobs[step].get(token);
          // Among the likeliest twenty, the last may be another.
          if (other === undefined) continue;
          compared++;
          assert.ok(Math.abs(logprob - other) < F32_ROUNDING, `step ${step}, token ${token}`);
        }
        assert.ok(compared >= 15, `${compared} tokens compared`);
      });
    });
  }
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
