import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import type { AttentionStatistics } from "../../src/scores/layer_record.ts";
import { forecastBlocks } from "../../src/cache/block_forecast.ts";
import { sharingSchedule } from "../../src/engine/forecast.ts";
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import type { PolicyContext } from "../../src/policy/context.ts";
import type { StartedPolicy } from "../../src/policy/policy.ts";
import { allocators, findPolicy, POLICY_NAMES, scorers } from "../support/policies.ts";
import {
  attention,
  attentionOfAll,
  chunkAttention,
  floorAtMean,
  keyDifference,
  keyNorm,
  leverage,
  lookUp,
  normalise,
  plus,
  pool,
  positive,
  protect,
  random,
  readAhead,
  recency,
  rehearsal,
  sharedByHeads,
  valueNorm,
} from "../../src/policy/mod.ts";
import { windowOf } from "../../src/policy/steps.ts";
import { contextOf, KV_HEADS, layerScores, prefill, randomScores } from "../support/prefill.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

const NAMES = POLICY_NAMES.filter((name) => name !== "full");
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

function start(name: string, context: PolicyContext, options: Record<string, unknown> = {}): StartedPolicy | null {
  return findPolicy(name)!.start(context, options);
}

/** Entropies and variances over the orders of magnitude that layers have. */
function randomStatistics(random: () => number, layerCount: number): AttentionStatistics[] {
  return Array.from(
    { length: layerCount },
    () => ({ entropy: 100 + 2000 * random(), variance: 10 ** (-3 * random()) }),
  );
}

for (const name of NAMES) {
  Deno.test(`${name} spends its whole budget and no more, at every length and budget`, () => {
    const random = seededRandom(1);
    for (const layerCount of [1, 2, 7, 32]) {
      for (const budget of [1, 2, 4, 5, 7, 8, 9, 31, 32, 33, 40, 100]) {
        for (const promptLength of [1, 2, 4, 5, 7, 8, 9, budget - 1, budget, budget + 1, 2 * budget, 4000]) {
          if (promptLength < 1) continue;
          const context = contextOf({ layerCount, budget, promptLength });
          const policy = start(name, context);
          // Nothing is dropped of a prompt within its budget.
          if (promptLength <= budget) assert.equal(policy, null);
          if (policy === null) continue;
          const window = windowOf(policy.score);
          const base = Math.max(1, budget - window) * (policy.perHead ? KV_HEADS : 1);
          assert.ok(window >= 1 && window < promptLength);
          const scored = promptLength - window;
          const scores = randomScores(random, layerCount, 2 * Math.min(scored, 600));
          const { rows, shared } = prefill(policy, scores, randomStatistics(random, layerCount));
          const what = `${layerCount} layers, budget ${budget}, prompt ${promptLength}: ${rows}`;
          assert.equal(sum(rows), base * layerCount, what);
          for (const count of rows) assert.ok(count >= 0 && count <= scored, what);
          for (const budgets of shared) assert.ok(sum(budgets) <= base * layerCount, what);
        }
      }
    }
  });
}

Deno.test("No policy holds more blocks than were forecast for it", () => {
  const random = seededRandom(5);
  for (const name of NAMES) {
    for (let round = 0; round < 5; round++) {
      const context = contextOf({
        layerCount: randomInteger(random, 1, 16),
        budget: randomInteger(random, 1, 200),
        promptLength: randomInteger(random, 20, 700),
      });
      const policy = start(name, context);
      if (policy === null) continue;
      const { layerCount } = context;
      const window = windowOf(policy.score);
      const pool = new BlockPool({ arenas: [100_000], blockBytes: 1, layerCount });
      const cache = new SequenceCache(pool, 0, layerCount);
      const scores = randomScores(random, layerCount, 2 * (context.promptLength - window));
      const statistics = randomStatistics(random, layerCount);
      for (let layer = 0; layer < layerCount; layer++) {
        cache.setRanked(layer, policy.provisionalRows(layer));
        cache.appendRecent(layer, window);
        if (!policy.isRebalanceDue(layer)) continue;
        const seen = Array.from({ length: layer + 1 }, (_, i) => {
          const held = cache.packedHeads(i)?.rows ?? Array<number>(KV_HEADS).fill(cache.rankedRows[i]);
          return layerScores(policy, scores[i], [...held], statistics[i]);
        });
        const rows = Uint32Array.from(policy.allot(seen));
        if (!policy.perHead) rows.forEach((rows, i) => cache.truncateRanked(i, rows));
        else seen.forEach((_, i) => cache.truncateHeads(i, rows.subarray(i * KV_HEADS, (i + 1) * KV_HEADS)));
      }
      cache.reserveRecent(20);
      const forecast = forecastBlocks(context, sharingSchedule({ ...policy, window }, layerCount), 20);
      assert.ok(pool.peakBlocks <= forecast, `${name}: ${pool.peakBlocks} blocks, but ${forecast} forecast`);
    }
  }
});

Deno.test("A window that the policy chooses leaves half of a small budget to rank", () => {
  const chosenWindow = (name: string, budget: number) => {
    return windowOf(start(name, contextOf({ budget }))!.score);
  };
  for (const name of ["snapkv", "cake", "defensive"]) {
    assert.deepEqual([1, 2, 20, 63, 64, 200].map((budget) => chosenWindow(name, budget)), [1, 1, 10, 31, 32, 32]);
  }
  for (const name of ["knorm", "keydiff", "compactor", "expectedattention", "triattention", "random", "rehearsal"]) {
    assert.deepEqual([1, 2, 15, 16, 200].map((budget) => chosenWindow(name, budget)), [1, 1, 7, 8, 8]);
  }
  assert.deepEqual([1, 2, 3, 64].map((budget) => chosenWindow("h2o", budget)), [1, 1, 1, 32]);
  for (const name of ["readahead", "ebbkv"]) {
    assert.deepEqual([1, 7, 8, 18, 32, 200].map((budget) => chosenWindow(name, budget)), [1, 1, 2, 4, 8, 8]);
  }
});

Deno.test("Policies score as their papers say, unless the request says otherwise", () => {
  const context = contextOf({ budget: 200 });
  const scoreOf = (name: string, options = {}) => start(name, context, options)!.score;
  assert.deepEqual(scoreOf("streaming"), [recency({ window: 1, sinks: 4 })]);
  assert.deepEqual(scoreOf("streaming", { sinks: 0 }), [recency({ window: 1, sinks: 0 })]);
  assert.deepEqual(scoreOf("h2o"), [attentionOfAll({ window: 100 })]);
  assert.deepEqual(scoreOf("h2o", { recentShare: 0.25 }), [attentionOfAll({ window: 50 })]);
  assert.deepEqual(scoreOf("h2o", { recentShare: 0 }), [attentionOfAll({ window: 1 })]);
  assert.deepEqual(scoreOf("h2o", { recentShare: 1 }), [attentionOfAll({ window: 199 })]);
  assert.deepEqual(scoreOf("tova"), [attention({ window: 1 }), sharedByHeads()]);
  const window = attention({ window: 32 });
  const maximum = pool({ width: 7, by: "maximum" });
  assert.deepEqual(scoreOf("snapkv"), [window, maximum]);
  assert.deepEqual(scoreOf("snapkv", { window: 16, kernel: 5, pooling: "average" }), [
    attention({ window: 16 }),
    pool({ width: 5, by: "average" }),
  ]);
  assert.deepEqual(scoreOf("snapkv", { valueNorm: true }), [window, valueNorm({ by: "row" }), maximum]);
  assert.deepEqual(scoreOf("adakv"), [window, maximum]);
  assert.deepEqual(scoreOf("lava"), [
    attention({ window: 32, reduce: "group-maximum" }),
    valueNorm({ by: "head" }),
    maximum,
  ]);
  assert.deepEqual(scoreOf("pyramidkv"), [attention({ window: 8 }), maximum]);
  assert.deepEqual(scoreOf("dynamickv"), [
    attention({ window: 8 }),
    pool({ width: 7, by: "average" }),
  ]);
  assert.deepEqual(scoreOf("snapkv+dynamickv"), [window, maximum]);
  assert.deepEqual(scoreOf("readahead"), [
    attention({ window: 8 }),
    lookUp({ best: 32, decay: 0.9 }),
    readAhead({ decay: 0.9 }),
  ]);
  const narrow = { window: 2, decay: 0.5, lookups: 0 };
  assert.deepEqual(scoreOf("readahead", narrow), [
    attention({ window: 2 }),
    lookUp({ best: 0, decay: 0.5 }),
    readAhead({ decay: 0.5 }),
  ]);
  assert.deepEqual(scoreOf("cake"), [
    attention({ window: 32, reduce: { varianceWeight: 200 } }),
    pool({ width: 5, by: "average" }),
  ]);
  assert.deepEqual(scoreOf("knorm"), [keyNorm({ window: 8 })]);
  assert.deepEqual(scoreOf("keydiff", { window: 4 }), [keyDifference({ window: 4 })]);
  assert.deepEqual(scoreOf("defensive"), [
    attention({ window: 32, reduce: { pooledMaximum: 5 } }),
    floorAtMean(),
    valueNorm({ by: "share" }),
  ]);
  // Of 400 rows 200 are dropped.
  assert.deepEqual(scoreOf("compactor"), [
    chunkAttention({ window: 8 }),
    valueNorm({ by: "row" }),
    pool({ width: 3, by: "average" }),
    normalise({ by: "z-score" }),
    plus({ score: [leverage({ window: 8 }), normalise({ by: "z-score" })], weight: 0.5 }),
    positive(),
    protect([{ start: 0, end: 8 }]),
  ]);
  assert.deepEqual(scoreOf("rehearsal"), [rehearsal({ window: 8 })]);
  const ebbkv = (best: number) => [
    attention({ window: 8 }),
    lookUp({ best, decay: 0.5 }),
    readAhead({ decay: 0.5 }),
    plus({ score: [rehearsal({ window: 8 })], weight: 4 }),
  ];
  assert.deepEqual(scoreOf("ebbkv", { decay: 0.5 }), ebbkv(0));
  assert.deepEqual(scoreOf("ebbkv", { decay: 0.5, lookups: 5 }), ebbkv(5));
  // Where the budget is less than 3 % of the prompt.
  for (const [promptLength, best] of [[6600, 0], [6700, 32]]) {
    const long = contextOf({ budget: 200, promptLength });
    assert.deepEqual(start("ebbkv", long, { decay: 0.5 })!.score, ebbkv(best));
  }
  assert.deepEqual(scoreOf("random", { seed: 3 }), [random({ window: 8, seed: 3 })]);
});

Deno.test("uniform gives every layer the same, whatever the scores", () => {
  const policy = start("snapkv", contextOf({ budget: 100 }), { window: 8 })!;
  const { rows, peakRows } = prefill(policy, randomScores(seededRandom(2), 6, 2 * 392));
  assert.deepEqual(rows, Array(6).fill(92));
  assert.equal(peakRows, 6 * 92);
});

/** PyramidKV's rule, layer by layer, unrounded. */
function referencePyramid({ layerCount, budget, promptLength }: PolicyContext, beta: number): number[] {
  const mean = budget - 8;
  let last = mean / beta;
  let first = 2 * mean - last;
  if (first > promptLength - 8) {
    first = promptLength - 8;
    last = 2 * mean - first;
  }
  return Array.from({ length: layerCount }, (_, layer) => first - layer * (first - last) / (layerCount - 1));
}

Deno.test("pyramidkv follows its rule to a row, and loses none", () => {
  const random = seededRandom(3);
  for (let round = 0; round < 200; round++) {
    const budget = randomInteger(random, 9, 300);
    const context = contextOf({
      layerCount: randomInteger(random, 2, 40),
      budget,
      promptLength: budget + randomInteger(random, 1, 400),
    });
    const beta = [1, 2, 20, 1000][randomInteger(random, 0, 3)];
    const policy = start("pyramidkv", context, { beta })!;
    const rows = Array.from({ length: context.layerCount }, (_, layer) => policy.provisionalRows(layer));
    const expected = referencePyramid(context, beta);
    rows.forEach((count, layer) => assert.ok(Math.abs(count - expected[layer]) < 1, `${rows}, expected ${expected}`));
    assert.equal(sum(rows), context.layerCount * (budget - 8));
  }
});

Deno.test("pyramidkv gives a worked example", () => {
  // Mean 40, from 2 * 40 - 40 / 20 = 78 down to 2 in 4 equal steps of 19.
  const policy = start("pyramidkv", contextOf({ layerCount: 5, budget: 48 }))!;
  assert.deepEqual([0, 1, 2, 3, 4].map((layer) => policy.provisionalRows(layer)), [78, 59, 40, 21, 2]);
});

Deno.test("cake shares in proportion to its preferences, to a row, after every layer as well as at the end", () => {
  const random = seededRandom(4);
  for (let round = 0; round < 100; round++) {
    const context = contextOf({
      layerCount: randomInteger(random, 1, 32),
      budget: randomInteger(random, 33, 200),
      promptLength: 100_000,
    });
    const [tau1, tau2] = [0.5 + 2 * random(), 0.5 + 2 * random()];
    const policy = start("cake", context, { tau1, tau2, window: 8 })!;
    const statistics = randomStatistics(random, context.layerCount);
    const scores = Array.from({ length: context.layerCount }, () => new Float32Array(1));
    const { rows, shared } = prefill(policy, scores, statistics);
    const preferences = statistics.map(({ entropy, variance }) => entropy ** (1 / tau1) * variance ** (1 / tau2));
    const total = (context.budget - 8) * context.layerCount;
    shared.forEach((budgets) => {
      assert.equal(sum(budgets), total);
      const seen = preferences.slice(0, budgets.length);
      budgets.forEach((count, layer) => {
        const share = seen[layer] / sum(seen) * total;
        // Rounding may have cost a row in an earlier sharing, which does not come back.
        assert.ok(Math.abs(count - share) < 2, `${count} rows, expected ${share}`);
      });
    });
    assert.equal(shared.length, context.layerCount);
    assert.deepEqual(rows, shared.at(-1));
  }
});

Deno.test("cake caps a layer at the rows there are, and shares the rest; layers without any preference get alike", () => {
  const context = contextOf({ layerCount: 4, budget: 108, promptLength: 208 });
  const scores = Array.from({ length: 4 }, () => new Float32Array(1));
  const run = (entropies: number[]) => {
    const policy = start("cake", context, { window: 8, tau1: 1, tau2: 1 })!;
    return prefill(policy, scores, entropies.map((entropy) => ({ entropy, variance: 1 }))).rows;
  };
  // 400 rows, at most 200 a layer; of the other 200, 1 : 1 : 2.
  assert.deepEqual(run([16, 1, 1, 2]), [200, 50, 50, 100]);
  assert.deepEqual(run([0, 0, 0, 0]), [100, 100, 100, 100]);
  assert.deepEqual(run([1, 0, 0, 1]), [200, 0, 0, 200]);
});

Deno.test("Two rivals of one scorer keep the same best rows; only how many differs", () => {
  const context = contextOf({ budget: 100 });
  const score = (name: string) => start(name, context, { window: 8 })!.score;
  for (const allocator of allocators) assert.deepEqual(score(`snapkv+${allocator.name}`), score("snapkv"));
});

Deno.test("No option of a scorer is also one of an allocator, and each has a description and a default or says what it is", () => {
  for (const plugin of [...scorers, ...allocators]) {
    assert.match(plugin.description, /^[A-Z].*[^.]$/);
    for (const [option, schema] of Object.entries(plugin.options.shape)) {
      assert.ok((schema as { description?: string }).description, `${plugin.name}.${option}`);
    }
  }
  for (const scorer of scorers) {
    for (const allocator of allocators) {
      const shared = Object.keys(scorer.options.shape).filter((option) => option in allocator.options.shape);
      assert.deepEqual(shared, [], `${scorer.name} and ${allocator.name}`);
    }
  }
});

/** How many of the `count` highest scores lie in each half of them, by sorting. */
function sortedCounts(scores: Float32Array, count: number): number[] {
  const half = scores.length / KV_HEADS;
  const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[b] - scores[a]).slice(0, count);
  return Array.from({ length: KV_HEADS }, (_, head) => order.filter((i) => Math.floor(i / half) === head).length);
}

/** Scores of two heads whose levels differ. */
function unevenScores(random: () => number, scoredRows: number): Float32Array {
  const [low, high] = randomScores(random, 2, scoredRows);
  return Float32Array.from([...low, ...high]);
}

/** How far a count from a histogram can be off: what the bin on the boundary holds, of bins 3 % wide. */
function boundaryBin(scores: Float32Array, count: number): number {
  const boundary = scores.toSorted()[scores.length - count];
  return scores.filter((score) => score > boundary / 1.032 && score < boundary * 1.032).length;
}

Deno.test("adakv gives heads what the sorted scores of their layer say, with a floor, and every layer the same", () => {
  const random = seededRandom(6);
  for (let round = 0; round < 100; round++) {
    const scored = randomInteger(random, 50, 3000);
    const base = randomInteger(random, 1, scored - 1);
    const floor = [0, 0.2, 0.7, 1][randomInteger(random, 0, 3)];
    const context = contextOf({ layerCount: 3, budget: base + 8, promptLength: scored + 8 });
    const policy = start("adakv", context, { window: 8, floor })!;
    const scores = Array.from({ length: 3 }, () => unevenScores(random, scored));
    const { rows } = prefill(policy, scores);
    scores.forEach((own, layer) => {
      const actual = rows.slice(layer * KV_HEADS, (layer + 1) * KV_HEADS);
      assert.equal(sum(actual), KV_HEADS * base);
      sortedCounts(own, KV_HEADS * base).forEach((count, head) => {
        const expected = (1 - floor) * count + floor * base;
        const tolerance = 1 + (1 - floor) * boundaryBin(own, KV_HEADS * base);
        assert.ok(Math.abs(actual[head] - expected) <= tolerance, `${actual}: head ${head}, expected ${expected}`);
      });
    });
  }
});

Deno.test("adakv gives a worked example", () => {
  // Base 10, 2 heads: of the 20 highest scores, 15 are the first head's. 0.8 * 15 + 0.2 * 10 and 0.8 * 5 + 0.2 * 10.
  const context = contextOf({ layerCount: 1, budget: 18, promptLength: 108 });
  const head = (high: number) => Array.from({ length: 100 }, (_, i) => i < high ? 1 : 0.01);
  const policy = start("adakv", context, { window: 8 })!;
  assert.deepEqual(prefill(policy, [Float32Array.from([...head(15), ...head(5)])]).rows, [14, 6]);
  assert.equal(policy.provisionalRows(0), 18, "0.8 * 20 + 0.2 * 10");
});

Deno.test("lava gives layers what the entropies of their scores say, and heads what sorting says, after every layer", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 40; round++) {
    const scored = randomInteger(random, 500, 3000);
    const layerCount = randomInteger(random, 1, 8);
    const base = randomInteger(random, 1, Math.floor(scored / layerCount / KV_HEADS));
    const context = contextOf({ layerCount, budget: base + 8, promptLength: scored + 8 });
    const scores = Array.from({ length: layerCount }, () => unevenScores(random, scored));
    const entropies = scores.map((own) => {
      const total = own.reduce((a, b) => a + b, 0);
      return -own.reduce((logs, score) => logs + score / total * Math.log(score / total), 0);
    });
    const { shared, rows } = prefill(start("lava", context, { window: 8 })!, scores);
    assert.equal(shared.length, layerCount);
    shared.forEach((budgets) => {
      const seen = budgets.length / KV_HEADS;
      assert.ok(sum(budgets) === KV_HEADS * base * layerCount || seen < layerCount);
      for (let layer = 0; layer < seen; layer++) {
        const actual = budgets.slice(layer * KV_HEADS, (layer + 1) * KV_HEADS);
        const share = entropies[layer] / sum(entropies.slice(0, seen)) * KV_HEADS * base * layerCount;
        assert.ok(sum(actual) <= 1.01 * share + 2, `layer ${layer}: ${sum(actual)}, expected ${share}`);
        if (seen < layerCount) continue;
        // The final sharing: nothing is capped but what rounding cost before.
        assert.ok(sum(actual) >= 0.99 * share - 2, `layer ${layer}: ${sum(actual)}, expected ${share}`);
        const tolerance = 2 + boundaryBin(scores[layer], sum(actual));
        sortedCounts(scores[layer], sum(actual)).forEach((count, head) =>
          assert.ok(Math.abs(actual[head] - count) <= tolerance, `${actual}: head ${head}, expected ${count}`)
        );
      }
    });
    assert.equal(sum(rows), KV_HEADS * base * layerCount);
  }
});
