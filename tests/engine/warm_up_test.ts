import assert from "node:assert/strict";
import type { LoadProgress } from "../../src/contract/engine.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { warmUp } from "../../src/engine/warm_up.ts";
import type { Model } from "../../src/model/model.ts";
import type { TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { request } from "../support/engine.ts";
import { observedModel, runTogether } from "../support/scheduling.ts";

const model = (layers: number): TinyModelOptions => ({ architecture: "llama", seed: 31, layers });

/** The workgroups of every dispatch that an action makes. */
async function dispatchesOf(action: () => Promise<void>): Promise<number[]> {
  const { prototype } = GPUComputePassEncoder;
  const { dispatchWorkgroups } = prototype;
  const sizes: number[] = [];
  prototype.dispatchWorkgroups = function (x, y = 1, z = 1) {
    sizes.push(x * y * z);
    return dispatchWorkgroups.call(this, x, y, z);
  };
  try {
    await action();
  } finally {
    prototype.dispatchWorkgroups = dispatchWorkgroups;
  }
  return sizes;
}

Deno.test("warming up runs one workgroup of each kernel, however many layers there are, and says how far it is", async () => {
  const counts: number[] = [];
  for (const layers of [2, 6]) {
    const observed = await observedModel(model(layers), { maxBatch: 8 });
    const progress: LoadProgress[] = [];
    const sizes = await dispatchesOf(() =>
      warmUp(observed.model, builtInPolicies, "dynamickv", (state) => progress.push(state))
    );
    assert.ok(sizes.length > 10, `${sizes.length} kernels`);
    assert.deepEqual(sizes, Array(sizes.length).fill(1));
    assert.deepEqual(
      progress,
      Array.from({ length: sizes.length + 1 }, (_, done) => ({ stage: "kernels", done, total: sizes.length })),
    );
    counts.push(sizes.length);
    observed.model.gpu.destroy();
  }
  assert.equal(counts[0], counts[1]);
});

Deno.test("a model that has been warmed up answers as one that has not, and needs no further kernel", async () => {
  const prompt = Uint32Array.from({ length: 40 }, (_, i) => (i * 37) % 300);
  const sampling = {
    ...GREEDY,
    temperature: 1,
    topK: 20,
    presencePenalty: 1,
    logitBias: [{ token: 5, bias: 1 }],
    seed: 3,
  };
  const requests = [
    request(prompt, { maxTokens: 12, kvCache: { policy: "dynamickv", budget: 16 } }),
    request(prompt.subarray(3), { maxTokens: 12, sampling, topLogprobs: 2 }),
  ];
  const cold = await observedModel(model(3), { maxBatch: 8 });
  // How many tokens come at a time is a matter of the machine's speed.
  const idsOf = async (model: Model) => (await runTogether(model, requests)).map(({ ids }) => ids);
  const expected = await idsOf(cold.model);
  const warm = await observedModel(model(3), { maxBatch: 8 });
  await warmUp(warm.model, builtInPolicies, "dynamickv");
  assert.deepEqual([warm.model.pool.usedBlocks, warm.model.pool.peakBlocks], [0, 0]);
  const { pipelines } = warm.model.gpu.counters;
  assert.deepEqual(await idsOf(warm.model), expected);
  assert.equal(warm.model.gpu.counters.pipelines, pipelines);
  cold.model.gpu.destroy();
  warm.model.gpu.destroy();
});

Deno.test("warming up runs the kernels of the prefix cache too, and leaves nothing in it", async () => {
  const [without, within] = [0, Infinity].map((prefixCache) => observedModel(model(3), { maxBatch: 8, prefixCache }));
  const kernels: number[] = [];
  for (const { model } of [await without, await within]) {
    kernels.push((await dispatchesOf(() => warmUp(model, builtInPolicies, "dynamickv"))).length);
  }
  assert.equal(kernels[1], kernels[0] + 1, "rows are copied out of blocks");
  const { model: { prefixIndex, pool } } = await within;
  assert.deepEqual([prefixIndex.keptBlocks, pool.usedBlocks, pool.peakBlocks], [0, 0, 0]);
  const prompt = new Uint32Array(40);
  const [{ ids, cachedTokens }] = await runTogether((await within).model, [request(prompt)]);
  assert.equal(cachedTokens, 0);
  assert.deepEqual(ids, (await runTogether((await without).model, [request(prompt)]))[0].ids);
  for (const observed of [without, within]) (await observed).model.gpu.destroy();
});

Deno.test("warming up runs the kernels of a policy, so that no further one is needed for its first prompt", async () => {
  for (const name of ["ebbkv", "h2o", "triattention", "snapkv+adakv"]) {
    const warm = await observedModel(model(3), { maxBatch: 2 });
    await warmUp(warm.model, builtInPolicies, name);
    const { pipelines } = warm.model.gpu.counters;
    const prompt = Uint32Array.from({ length: 50 }, (_, i) => (i * 37) % 300);
    await runTogether(warm.model, [request(prompt, { maxTokens: 2, kvCache: { policy: name, budget: 16 } })]);
    // But for the one that moves slots of heads: where all scores are zero, none has to move.
    const isMoved = ["ebbkv", "snapkv+adakv"].includes(name);
    assert.equal(warm.model.gpu.counters.pipelines, pipelines + Number(isMoved), name);
    warm.model.gpu.destroy();
  }
});
