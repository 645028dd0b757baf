import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { LayerBudgets } from "../../src/engine/layer_budgets.ts";
import { recency } from "../../src/policy/mod.ts";
import { needsOf, windowOf } from "../../src/policy/steps.ts";
import type { LayerScores, SequencePolicy } from "../../src/policy/policy.ts";

const HEADS = 2;
const SCORE = [recency({ sinks: 1 })];
const histogram = (count: number) => Uint32Array.of(count);

/** A policy that gives what it is told, and what it has been shown. */
function policyOf(perHead: boolean, ...budgets: number[][]) {
  const seen: (readonly LayerScores[])[] = [];
  const policy: SequencePolicy = {
    score: SCORE,
    window: windowOf(SCORE),
    needs: needsOf(SCORE),
    hostSteps: [],
    hasKernel: false,
    hasFailed: false,
    found: null,
    computeOnHost: () => null,
    exactScores: false,
    attentionStatistics: false,
    perHead,
    provisionalRows: () => 40,
    isRebalanceDue: () => true,
    allot: (layers) => (seen.push(layers), Uint32Array.from(budgets.shift()!)),
  };
  return { policy, seen };
}

function cacheOf(layerCount: number): SequenceCache {
  const pool = new BlockPool({ arenas: [100], blockBytes: 1, layerCount });
  const cache = new SequenceCache(pool, 0, layerCount);
  for (let layer = 0; layer < layerCount; layer++) cache.setRanked(layer, 40);
  return cache;
}

Deno.test("LayerBudgets shows a policy all layers so far with what they hold, and cuts them to what it gives", () => {
  const budgets = new LayerBudgets(HEADS);
  const cache = cacheOf(2);
  const { policy, seen } = policyOf(false, [33], [16, 40]);
  const statistics = { entropy: 2, variance: 3 };
  budgets.add({ histogram: histogram(1), statistics });
  assert.deepEqual(budgets.share(policy, cache), []);
  assert.deepEqual(Array.from(cache.rankedRows), [33, 40]);
  budgets.add({ histogram: histogram(2) });
  budgets.share(policy, cache);
  assert.deepEqual(Array.from(cache.rankedRows), [16, 40]);
  assert.equal(cache.blocks, 1 + 3);
  assert.deepEqual(seen.map((layers) => layers.map(({ heldRows }) => heldRows)), [[40], [33, 40]]);
  assert.deepEqual(seen[1].map(({ histogram: [count], statistics }) => [count, statistics]), [[1, statistics], [
    2,
    undefined,
  ]]);
  assert.ok(seen.flat().every(({ headRows }) => headRows === undefined));
});

Deno.test("LayerBudgets cuts every head to its own rows, and returns the copies that this takes", () => {
  const budgets = new LayerBudgets(HEADS);
  const cache = cacheOf(2);
  const { policy, seen } = policyOf(true, [40, 8], [8, 8, 30, 2]);
  const before = cache.table(0).slice();
  budgets.add({ histogram: histogram(1), headHistograms: [histogram(1), histogram(0)] });
  const [moves, ...others] = budgets.share(policy, cache);
  assert.deepEqual([moves.length / 2, others], [4, []], "three slots of one head, one of the other");
  assert.deepEqual(Array.from(moves).filter((_, i) => i % 2 === 0).map((slot) => Math.floor(slot / HEADS)), [
    ...before,
    before[0],
  ]);
  budgets.add({ histogram: histogram(1), headHistograms: [histogram(0), histogram(1)] });
  budgets.share(policy, cache);
  assert.deepEqual([0, 1].map((layer) => Array.from(cache.headRows(layer, HEADS))), [[8, 8], [30, 2]]);
  assert.deepEqual(
    seen.map((layers) => layers.map(({ headRows }) => Array.from(headRows!))),
    [[[40, 40]], [[40, 8], [40, 40]]],
  );
});

Deno.test("LayerBudgets that has forgotten starts with the first layer again", () => {
  const budgets = new LayerBudgets(HEADS);
  const cache = cacheOf(1);
  const { policy, seen } = policyOf(false, [32], [16]);
  budgets.add({ histogram: histogram(1) });
  budgets.share(policy, cache);
  budgets.forget();
  budgets.add({ histogram: histogram(5) });
  budgets.share(policy, cache);
  assert.deepEqual(seen[1].map(({ histogram: [count], heldRows }) => [count, heldRows]), [[5, 32]]);
});
