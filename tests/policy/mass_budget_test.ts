import assert from "node:assert/strict";
import { startPolicy } from "../../src/policy/fence.ts";
import { keptShare, smallestBudget } from "../../src/policy/mass_budget.ts";
import { definePolicy } from "../../src/policy/mod.ts";
import { PolicyRegistry } from "../../src/policy/registry.ts";
import { histogramOf, massOfHighest } from "../../src/scores/score_histogram.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { findPolicy, POLICY_NAMES, registry } from "../support/policies.ts";
import { contextOf, KV_HEADS, prefill, randomScores } from "../support/prefill.ts";

/** The middle of a bin is at most 1.6 % from its scores, of which shares show the difference. */
const BINS = 0.004;

const sumOfBest = (scores: Float32Array, count: number) =>
  scores.toSorted((a, b) => b - a).slice(0, Math.round(count)).reduce((sum, score) => sum + score, 0);

/** The share of all scores that is kept, by the scores themselves: of each layer, or each of its heads. */
function exactShare(scores: readonly Float32Array[], rows: ArrayLike<number>): number {
  const isPerHead = rows.length > scores.length;
  const units = isPerHead
    ? scores.flatMap((own) => [own.subarray(0, own.length / KV_HEADS), own.subarray(own.length / KV_HEADS)])
    : scores;
  const kept = units.map((own, i) => sumOfBest(own, rows[i] * (isPerHead ? 1 : KV_HEADS)));
  const all = units.map((own) => sumOfBest(own, own.length));
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  return sum(kept) / sum(all);
}

Deno.test("massOfHighest() adds up the highest scores to within the width of a bin", () => {
  const [scores] = randomScores(seededRandom(4), 1, 777);
  const mass = massOfHighest(histogramOf(scores));
  for (const count of [0, 1, 5, 60, 400, 776, 777, 5000]) {
    const exact = sumOfBest(scores, count);
    assert.ok(Math.abs(mass(count) - exact) <= 0.016 * exact + 1e-6, `${count}: ${mass(count)}, ${exact}`);
  }
  assert.equal(massOfHighest(histogramOf([]))(3), 0);
});

Deno.test("keptShare() of no attention at all is all of it", () => {
  assert.equal(keptShare([histogramOf([0, 0])], 1)([0]), 1);
  assert.equal(keptShare([histogramOf([0.5, 0.5]), histogramOf([1, 1, 1])], 1)([1, 3]), 3.5 / 4);
});

Deno.test("smallestBudget() is the first that is enough, the largest where none is, and larger where a policy cannot share less", () => {
  const rows = (base: number) => Uint32Array.of(base);
  const find = (mass: number, least = 0) =>
    smallestBudget(mass, 100, rows(100), (base) => base < least ? null : rows(base), ([base]) => base / 200).base;
  for (const mass of [0.005, 0.006, 0.25, 0.4975, 0.5]) assert.equal(find(mass), Math.ceil(200 * mass));
  assert.equal(find(0.7), 100);
  assert.equal(find(0.1, 64), 64);
});

const names = POLICY_NAMES.filter((name) => !name.includes("cake") && findPolicy(name)!.scoresAttention);

Deno.test("policies that score by attention are known, and combinations with them", () => {
  const ready = registry.policies.filter(({ scoresAttention }) => scoresAttention).map(({ name }) => name);
  assert.deepEqual(ready, [
    "ebbkv",
    "dynamickv",
    "readahead",
    "rehearsal",
    "h2o",
    "tova",
    "snapkv",
    "pyramidkv",
    "adakv",
  ]);
  assert.ok(names.length > 20);
});

for (const name of names) {
  Deno.test(`${name}: the budget keeps the share that was asked for, and a smaller one would not`, () => {
    const random = seededRandom(name.length);
    for (const mass of [0.5, 0.9]) {
      const scoresOf = (window: number) => randomScores(random, 6, KV_HEADS * (400 - window));
      const options = findPolicy(name)!.options.parse({});
      const start = (budget: number, share: number | null) =>
        startPolicy(findPolicy(name)!, contextOf({ budget }), options, assert.fail, undefined, share)!;
      const policy = start(300, mass);
      const scores = scoresOf(policy.window);
      const { rows } = prefill(policy, scores);
      const found = policy.found!;
      const units = policy.perHead ? 6 * KV_HEADS : 6;
      assert.ok(rows.reduce((a, b) => a + b) <= (found.rows - policy.window) * units);
      const kept = exactShare(scores, rows);
      assert.ok(Math.abs(kept - found.kept) < BINS, `${kept}, said to be ${found.kept}`);
      assert.ok(found.kept >= mass || found.rows === 300);
      // Its own window may be smaller: then there is more to rank.
      const fewer = start(found.rows - 1, null);
      if (found.rows === 300 || fewer.window !== policy.window) continue;
      assert.ok(exactShare(scores, prefill(fewer, scores).rows) < mass + BINS, `${found.rows - 1} rows`);
    }
  });
}

Deno.test("a policy whose allocator gives what is held whatever is asked for comes to the most", () => {
  const policy = definePolicy({
    name: "mine",
    description: "Mine",
    scorer: "snapkv",
    allocator: {
      kind: "allocator",
      name: "all",
      description: "All",
      options: findPolicy("full")!.options,
      perHead: false,
      schedule: ({ base, layerCount }) => ({ provisionalRows: base, interval: layerCount }),
      allot: (layers) => layers.map(({ heldRows }) => heldRows),
    },
  });
  const mine = new PolicyRegistry([...registry.policies, policy]).find("mine")!;
  const started = startPolicy(mine, contextOf({ budget: 100 }), { window: 8 }, assert.fail, undefined, 0.5)!;
  prefill(started, randomScores(seededRandom(2), 6, KV_HEADS * 392));
  assert.equal(started.found!.rows, 100);
});
