import assert from "node:assert/strict";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import type { PolicyContext } from "../../src/policy/context.ts";
import { ranksAgain, scoreAgain } from "../../src/policy/steps.ts";
import { attention, floorAtMean, valueNorm } from "../../src/policy/mod.ts";
import { findPolicy } from "../support/policies.ts";
import { contextOf, KV_HEADS, prefill, randomScores } from "../support/prefill.ts";

const WINDOW = 8;
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

function start(context: PolicyContext, options: Record<string, unknown> = {}) {
  return findPolicy("defensive")!.start(context, { window: WINDOW, ...options })!;
}

/** Scores of all layers, `[layer][head x row]`, whose heads differ in level as well. */
function headScores(random: () => number, layerCount: number, scoredRows: number): Float32Array[] {
  const heads = randomScores(random, layerCount * KV_HEADS, scoredRows);
  return Array.from(
    { length: layerCount },
    (_, layer) => Float32Array.from(heads.slice(layer * KV_HEADS, (layer + 1) * KV_HEADS).flatMap((own) => [...own])),
  );
}

/** Rows of each head by one sort of the scores of all layers and heads: Layer-DefensiveKV. */
function sortedRows(scores: readonly Float32Array[], total: number): number[] {
  const scoredRows = scores[0].length / KV_HEADS;
  const all = scores.flatMap((own, layer) =>
    Array.from(own, (score, i) => ({ score, head: layer * KV_HEADS + Math.floor(i / scoredRows) }))
  );
  const rows = Array<number>(scores.length * KV_HEADS).fill(0);
  for (const { head } of all.sort((a, b) => b.score - a.score).slice(0, total)) rows[head]++;
  return rows;
}

Deno.test("defensive gives heads what one sort of all scores does, to a bin, though it never holds all of them", () => {
  const random = seededRandom(1);
  for (let round = 0; round < 40; round++) {
    const layerCount = randomInteger(random, 1, 12);
    const context = contextOf({ layerCount, promptLength: 400, budget: WINDOW + randomInteger(random, 20, 100) });
    const base = context.budget - WINDOW;
    // Room enough for any head: what is left is the order.
    const policy = start(context, { floor: 0, maximumRatio: 1000, interval: randomInteger(random, 1, 4) });
    const scores = headScores(random, layerCount, 392);
    const { rows } = prefill(policy, scores);
    const total = base * layerCount * KV_HEADS;
    const expected = sortedRows(scores, total);
    assert.equal(sum(rows), total);
    // A bin is 3 % wide: of scores whose logarithms spread over 1 and more it holds about 1.2 % of a head's.
    rows.forEach((count, i) => assert.ok(Math.abs(count - expected[i]) <= 8, `${rows}, expected ${expected}`));
  }
});

Deno.test("defensive ends where sharing once would, however often it shares, and never grows a head", () => {
  const random = seededRandom(2);
  for (let round = 0; round < 40; round++) {
    const layerCount = randomInteger(random, 2, 16);
    const context = contextOf({ layerCount, budget: WINDOW + randomInteger(random, 1, 60) });
    const scores = headScores(random, layerCount, 392);
    const often = prefill(start(context, { interval: 1 }), scores);
    const once = prefill(start(context, { interval: layerCount }), scores);
    // Each sharing rounds, and a row lost by that does not come back.
    often.rows.forEach((count, i) => {
      assert.ok(Math.abs(count - once.rows[i]) <= 2, `${often.rows}, sharing once ${once.rows}`);
    });
    for (const [i, budgets] of often.shared.entries()) {
      const before = often.shared[i - 1] ?? [];
      before.forEach((rows, head) => assert.ok(budgets[head] <= rows, "a head grew"));
    }
    const base = context.budget - WINDOW;
    const most = (base * layerCount + Math.min(5 * base, 392)) * KV_HEADS;
    assert.ok(often.peakRows <= most, `${often.peakRows} rows held at once, ${most} at most`);
  }
});

Deno.test("defensive leaves each head its floor, and gives a worked example", () => {
  const context = contextOf({ layerCount: 2, promptLength: 108, budget: WINDOW + 20 });
  const layer = (first: number, second: number) =>
    Float32Array.from([...Array(100).fill(first), ...Array(100).fill(second)]);
  // 80 rows: two of each for the floors, 37 more for each head of the best scores.
  assert.deepEqual(prefill(start(context), [layer(1, 0.25), layer(0.01, 1)]).rows, [38, 2, 2, 38]);
  assert.deepEqual(prefill(start(context, { floor: 0 }), [layer(1, 0.25), layer(0.01, 1)]).rows, [40, 0, 0, 40]);
  // No more than a head holds: the rest goes to the next best.
  const capped = prefill(start(context, { floor: 0, maximumRatio: 1 }), [layer(1, 0.25), layer(0.01, 0.5)]).rows;
  assert.deepEqual(capped, [20, 20, 20, 20]);
  // All alike get alike.
  assert.deepEqual(prefill(start(context), [layer(0, 0), layer(0, 0)]).rows, [20, 20, 20, 20]);
});

Deno.test("rows in order of rank have no neighbours: the score of defensive pools nothing there", () => {
  const { score } = start(contextOf({}));
  assert.ok(ranksAgain(score));
  const reduce = { pooledMaximum: 1 };
  assert.deepEqual(scoreAgain(score), [
    attention({ window: WINDOW, reduce }),
    floorAtMean(),
    valueNorm({ by: "share" }),
  ]);
  const plain = [attention({ window: WINDOW, reduce: "group-maximum" })];
  assert.deepEqual(scoreAgain(plain), plain);
});
