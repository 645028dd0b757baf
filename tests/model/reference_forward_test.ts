import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { withDirectory, withFile } from "../support/files.ts";
import {
  GOLDEN_MODELS,
  GOLDEN_PROMPT,
  goldenTolerance,
  readGoldens,
  STORIES_MODEL,
  type TokenLogProbability,
} from "../../fixtures/golden_models.ts";
import { openReferenceModel, referenceForward, type ReferenceModel } from "../support/reference_forward.ts";
import { tinyGguf, type TinyModelOptions, tinySafetensors } from "../../fixtures/tiny_model.ts";

const goldens = await readGoldens();

function logProbabilities(logits: Float64Array): Float64Array {
  const highest = logits.reduce((a, b) => Math.max(a, b));
  const logSum = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
  return logits.map((logit) => logit - logSum);
}

function assertGolden(
  model: ReferenceModel,
  name: string,
  top: readonly TokenLogProbability[][],
  roundCache: boolean,
  tolerance: number,
): void {
  const { prompt, tokens } = goldens[name];
  const { logits } = referenceForward(model, [...prompt, ...tokens], { roundCache });
  tokens.forEach((token, step) => {
    const actual = logProbabilities(logits[prompt.length - 1 + step]);
    assert.equal(actual.indexOf(Math.max(...actual)), token, `${name}: token ${step}`);
    for (const [candidate, expected] of top[step]) {
      assert.ok(
        Math.abs(actual[candidate] - expected) <= tolerance,
        `${name}: log-probability of ${candidate} at step ${step} is ${actual[candidate]}, llama.cpp's is ${expected}`,
      );
    }
  });
}

for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
  Deno.test(`the reference continues "${name}" as llama.cpp does`, async () => {
    const bytes = tinyGguf(options);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    assert.equal(sha256, goldens[name].sha256, "tiny_model.ts makes other bytes: run tools/golden/llama_cpp.mjs again");

    const model = await withFile(bytes, openReferenceModel);
    const { top, topF32Cache } = goldens[name];
    assertGolden(model, name, top, true, goldenTolerance(name));
    // With a cache in single precision all that differs is f32 against f64, and five decimals in the golden file.
    if (topF32Cache) assertGolden(model, name, topF32Cache, false, 5e-5);
  });
}

const storiesMissing = await Deno.stat(STORIES_MODEL).then(() => false, () => true);
Deno.test({
  name: `the reference continues stories260K as llama.cpp does${storiesMissing ? ` (no ${STORIES_MODEL})` : ""}`,
  ignore: storiesMissing,
  async fn() {
    const model = await openReferenceModel(STORIES_MODEL);
    const { top, topF32Cache } = goldens.stories260K;
    assertGolden(model, "stories260K", top, true, goldenTolerance("stories260K"));
    assertGolden(model, "stories260K", topF32Cache!, false, 5e-5);
  },
});

const IN_BOTH_FORMATS: readonly TinyModelOptions[] = [
  { architecture: "llama" },
  { architecture: "llama", tied: true, ropeDimensions: 8 },
  { architecture: "llama", type: { query: "F16", embedding: "BF16" } },
  { ...GOLDEN_MODELS["llama llama3"] },
  { ...GOLDEN_MODELS["llama yarn"] },
  { architecture: "qwen2" },
  { architecture: "qwen3", headSize: 32 },
  { architecture: "internlm2" },
  { architecture: "internlm2", attentionBias: true, ropeScaling: { type: "linear", factor: 3 } },
];

Deno.test("a model's GGUF and Hugging Face files mean the same, although they order, pack and name weights differently", async () => {
  for (const options of IN_BOTH_FORMATS) {
    const gguf = await withFile(tinyGguf(options), openReferenceModel);
    const huggingFace = await withDirectory(tinySafetensors(options), openReferenceModel);
    const expected = referenceForward(gguf, GOLDEN_PROMPT).logits.at(-1)!;
    const actual = referenceForward(huggingFace, GOLDEN_PROMPT).logits.at(-1)!;
    // GGUF keeps scaling factors in f32.
    expected.forEach((logit, i) => assert.ok(Math.abs(actual[i] - logit) < 1e-4, JSON.stringify(options)));
  }
});
