/** @file The two engines are each other's oracle: whatever the policy, they keep the same rows and draw the same tokens. */
import assert from "node:assert/strict";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import type { GenerationRequest } from "../../src/contract/generation.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { runOnGpu } from "../support/gpu_rows.ts";
import { observedModel } from "../support/scheduling.ts";
import { assertSameRows } from "../support/same_rows.ts";

const LAYERS = 5;
const MODEL: TinyModelOptions = {
  architecture: "llama",
  seed: 21,
  layers: LAYERS,
  headSize: 16,
  keyGains: [1, 0.3, 1.5, 0.1, 1],
};
const CONTEXT = 500;
const onBoth = async (model: TinyModelOptions) => ({
  observed: await observedModel(model, { contextLength: CONTEXT }),
  cpu: await withFile(tinyGguf(model), (path) => loadCpuModel(path, { contextLength: CONTEXT })),
});
const llama = await onBoth(MODEL);

/** Runs the same request on both engines, alone, and compares what they kept and drew. */
async function compare(asked: GenerationRequest, { observed, cpu } = llama): Promise<void> {
  const gpu = await runOnGpu(observed, asked);
  const { outcomes: [outcome], held: [held] } = await runOnCpu(cpu, [asked]);
  const name = `${asked.kvCache.policy}, budget ${asked.kvCache.budget}, ${asked.prompt.length} rows`;
  assert.deepEqual(outcome.kvCache, gpu.outcome.kvCache, name);
  assertSameRows(held, gpu.held, observed.model.config.headSize, name);
  assert.deepEqual(outcome.ids, gpu.outcome.ids, name);
}

for (const { name } of builtInPolicies.policies) {
  Deno.test(`${name} keeps the same rows on the CPU as on the GPU`, async () => {
    const random = seededRandom(name.length);
    for (const length of [40, 300, 411]) {
      const budget = randomInteger(random, 12, 60);
      await compare(request(randomPrompt(random, length), { maxTokens: 4, kvCache: { policy: name, budget } }));
    }
  });
}

Deno.test("rehearsal turns queries on alike on both where their pairs are halves apart, and where the context ends soon", async () => {
  const qwen = await onBoth({ ...MODEL, architecture: "qwen3", layers: 3 });
  const random = seededRandom(31);
  for (const length of [200, 490]) {
    const kvCache = { policy: "rehearsal", budget: 40 };
    await compare(request(randomPrompt(random, length), { maxTokens: 4, kvCache }), qwen);
  }
});
