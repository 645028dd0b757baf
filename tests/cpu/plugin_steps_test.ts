/** @file Scores that only users' policies have so far: the two engines keep the same rows by them. */
import assert from "node:assert/strict";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { forecastRequest } from "../../src/engine/forecast.ts";
import { BUILT_IN_POLICIES } from "../../src/plugins/built_in.ts";
import {
  attention,
  clamp,
  definePolicy,
  floorAtMean,
  keyDifference,
  keyNorm,
  linear,
  meanRotated,
  normalise,
  onHost,
  plus,
  positive,
  protect,
  protectLoudValues,
  type Score,
  threshold,
  times,
  valueNorm,
  wgsl,
} from "../../src/policy/mod.ts";
import { PolicyRegistry } from "../../src/policy/registry.ts";
import { withoutKernels } from "../../src/policy/steps.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { runOnGpu } from "../support/gpu_rows.ts";
import { assertSameRows } from "../support/same_rows.ts";
import { observedModel } from "../support/scheduling.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 21, layers: 3, headSize: 16, keyGains: [1, 0.3, 1.5] };
const observed = await observedModel(MODEL, { contextLength: 400 });
const cpu = await withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, { contextLength: 400 }));

/** Expected Attention without covariance: what the mean query would attend to from the next positions. */
const expected = linear({
  window: 4,
  coefficients({ mean }, { promptLength, rotary, headSize, kvHeadCount, queryHeadCount }) {
    const ahead = meanRotated(mean, rotary, promptLength, 64);
    const group = queryHeadCount / kvHeadCount;
    const vectors = new Float32Array(kvHeadCount * headSize);
    ahead.forEach((element, i) => {
      const kvHead = Math.floor(i / (group * headSize));
      vectors[kvHead * headSize + i % headSize] += element / group / Math.sqrt(headSize);
    });
    return { vectors };
  },
});

const SCORES: Readonly<Record<string, Score>> = {
  "the mean query": [expected, normalise({ by: "softmax" }), valueNorm({ by: "row" })],
  "the mean query and the magnitudes of keys": [
    linear({
      window: 4,
      coefficients: ({ mean, meanMagnitude }, { kvHeadCount, headSize, queryHeadCount }) => ({
        vectors: Array.from({ length: kvHeadCount * headSize }, (_, i) => {
          const head = Math.floor(i / headSize) * queryHeadCount / kvHeadCount;
          return mean[head * headSize + i % headSize];
        }),
        magnitudes: meanMagnitude.subarray(0, kvHeadCount * headSize / 2),
      }),
    }),
    normalise({ by: "z-score" }),
    positive(),
  ],
  "sums and products": [
    attention({ window: 4 }),
    normalise({ by: "sum" }),
    floorAtMean(),
    plus({
      score: [keyNorm({ window: 4 }), normalise({ by: "z-score" }), clamp({ least: -1, most: 3 })],
      weight: 0.01,
    }),
    times({ score: [keyDifference({ window: 4 }), threshold({ least: 0.5 })] }),
    positive(),
  ],
  "loud values": [keyNorm({ window: 4 }), protectLoudValues({ times: 1.2 })],
  "protected rows": [keyNorm({ window: 4 }), protect([{ start: 2, end: 9 }, { start: 100, end: 103 }])],
  "scores on the host": [onHost({
    window: 4,
    needs: ["keys", "values", "attention"],
    score({ keys, values, attention }, { kvHeadCount, scoredRows, promptLength, headSize }) {
      return Array.from({ length: kvHeadCount * scoredRows }, (_, i) => {
        const at = (Math.floor(i / scoredRows) * promptLength + i % scoredRows) * headSize;
        return attention![i] * Math.exp(keys![at] - Math.abs(values![at + 1]));
      });
    },
  })],
};

for (const [what, score] of Object.entries(SCORES)) {
  Deno.test(`${what}: the same rows on the CPU as on the GPU`, async () => {
    const policy = definePolicy({ name: "mine", description: "Mine", score: () => score, allocator: "dynamickv" });
    const registry = new PolicyRegistry([...BUILT_IN_POLICIES, policy]);
    const asked = request(randomPrompt(seededRandom(what.length), 290), {
      maxTokens: 4,
      kvCache: { policy: "mine", budget: 40 },
    });
    const gpu = await runOnGpu(observed, asked, registry);
    const { outcomes: [outcome], held: [held], stats } = await runOnCpu(cpu, [asked], undefined, registry);
    assert.deepEqual(stats.policyFallbacks, {});
    assert.deepEqual(outcome.kvCache, gpu.outcome.kvCache);
    assertSameRows(held, gpu.held, observed.model.config.headSize, what);
    assert.deepEqual(outcome.ids, gpu.outcome.ids);
  });
}

Deno.test("a policy that has nothing but WGSL is refused on the CPU by name, one that brings both takes what it can", async () => {
  const code = "1.0 / (1.0 + length(key4(row, 0u)))";
  const policies = [undefined, keyNorm({ window: 4 })].map((otherwise, i) =>
    definePolicy({ name: `p${i}`, description: "P", score: () => [wgsl({ window: 4, code, otherwise })] })
  );
  const norms = definePolicy({ name: "norms", description: "Norms", score: () => [keyNorm({ window: 4 })] });
  const registry = new PolicyRegistry([...BUILT_IN_POLICIES, ...policies, norms]);
  registry.runnable = withoutKernels;
  const asked = (policy: string) => request(randomPrompt(seededRandom(1), 100), { kvCache: { policy, budget: 40 } });
  assert.throws(
    () => forecastRequest(asked("p0"), cpu.forward.config, registry),
    {
      message:
        'The KV cache policy "p0" scores rows by WGSL alone, which needs a GPU, and this server computes on the CPU',
    },
  );
  const { outcomes: [both, alone], stats } = await runOnCpu(cpu, [asked("p1"), asked("norms")], undefined, registry);
  assert.deepEqual(both.ids, alone.ids);
  assert.deepEqual(stats.policyFallbacks, {});
});
