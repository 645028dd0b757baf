import assert from "node:assert/strict";
import { openModel } from "../../src/formats/open.ts";
import { Gpu } from "../../src/gpu/gpu.ts";
import { withFile } from "../support/files.ts";
import { greedy, loadTestModel } from "../support/greedy.ts";
import { referenceLogits } from "../support/reference_forward.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

/** Prompts of awkward lengths: one token, one block, more than a tile with its neighbours. */
const LENGTHS = [1, 16, 37, 250];

const MODELS: Record<string, TinyModelOptions> = {
  "llama, grouped queries": { architecture: "llama", seed: 3 },
  "qwen2, tied, one KV head for seven": {
    architecture: "qwen2",
    seed: 4,
    tied: true,
    hiddenSize: 112,
    queryHeads: 7,
    kvHeads: 1,
  },
  "qwen3, query and key norm": { architecture: "qwen3", seed: 5, headSize: 32 },
  "internlm2, odd sizes": {
    architecture: "internlm2",
    seed: 6,
    hiddenSize: 72,
    headSize: 24,
    queryHeads: 3,
    kvHeads: 3,
    feedForwardSize: 100,
    vocabulary: 333,
  },
  "llama, gate and up of different types": {
    architecture: "llama",
    seed: 7,
    type: { gate: "Q8_0", value: "F16", embedding: "Q4_0" },
  },
};

for (const [name, options] of Object.entries(MODELS)) {
  Deno.test(`prefill and decoding of packed prompts equal the reference forward pass: ${name}`, async () => {
    await withFile(tinyGguf(options), async (path) => {
      const gpu = await Gpu.open();
      const model = await loadTestModel(gpu, path, { kvElement: "f32" });
      const random = seededRandom(11);
      const prompts = LENGTHS.map((length) => Array.from({ length }, () => randomInteger(random, 3, 299)));
      const results = await greedy(model, prompts, 4);
      const file = await openModel(path);
      for (const [i, { tokens, logits }] of results.entries()) {
        const expected = await referenceLogits(file, [...prompts[i], ...tokens]);
        for (const [step, actual] of logits.entries()) {
          const reference = expected[prompts[i].length - 1 + step];
          const error = Math.max(...actual.map((logit, id) => Math.abs(logit - reference[id])));
          // Two layers of f32 arithmetic on logits of deviation 2.
          assert.ok(error < 1e-3, `prompt of ${prompts[i].length}, step ${step}: logits differ by ${error}`);
        }
      }
      file.close();
      gpu.destroy();
    });
  });
}
