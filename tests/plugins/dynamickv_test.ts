import assert from "node:assert/strict";
import { exactTopCounts } from "../../src/scores/exact_top_counts.ts";
import dynamickv from "../../src/plugins/dynamickv.ts";
import type { PolicyContext } from "../../src/policy/context.ts";
import type { StartedPolicy } from "../../src/policy/policy.ts";
import { attention, pool } from "../../src/policy/mod.ts";
import { prefill, randomScores } from "../support/prefill.ts";
import { publishedRows } from "../support/published_dynamickv.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

const WINDOW = 8;
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

function contextOf(context: Partial<PolicyContext>): PolicyContext {
  return {
    layerCount: 4,
    kvHeadCount: 2,
    headSize: 8,
    blockSize: 16,
    messages: [],
    promptLength: 1000,
    budget: 72,
    ...context,
  };
}

/** Starts DynamicKV on a prompt that must be long enough to be compressed. */
function start(context: PolicyContext, options: Record<string, unknown> = {}): StartedPolicy {
  const policy = dynamickv.start(context, options);
  assert.ok(policy);
  return policy;
}

function scoresFor(random: () => number, { layerCount, kvHeadCount, promptLength }: PolicyContext, window = WINDOW) {
  return randomScores(random, layerCount, kvHeadCount * (promptLength - window));
}

Deno.test("DynamicKV leaves prompts within the budget alone, in both modes", () => {
  for (const mode of ["mended", "published"]) {
    for (const promptLength of [1, WINDOW - 1, WINDOW, WINDOW + 1, 71, 72]) {
      assert.equal(dynamickv.start(contextOf({ promptLength }), { mode }), null, `${promptLength} tokens`);
    }
    assert.notEqual(dynamickv.start(contextOf({ promptLength: 73 }), { mode }), null);
  }
});

Deno.test("DynamicKV keeps at least one row beside the window, however small the budget", () => {
  for (const budget of [1, WINDOW, WINDOW + 1]) {
    const context = contextOf({ budget });
    assert.equal(dynamickv.start({ ...context, promptLength: WINDOW + 1 }, {}), null);
    assert.deepEqual(prefill(start(context), scoresFor(seededRandom(1), context)).rows, [1, 1, 1, 1]);
  }
});

Deno.test("DynamicKV passes its parameters on to scorer and schedule", () => {
  const policy = start(contextOf({ layerCount: 7 }), {
    window: 4,
    kernel: 5,
    pooling: "maximum",
    interval: 3,
    maximumRatio: 2.5,
  });
  assert.deepEqual(policy.score, [attention({ window: 4 }), pool({ width: 5, by: "maximum" })]);
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6].filter((layer) => policy.isRebalanceDue(layer)), [2, 5, 6]);
  assert.equal(policy.provisionalRows(0), 170); // 2.5 * (72 - 4)
  assert.equal(start(contextOf({ promptLength: 100 })).provisionalRows(0), 92, "no more rows than there are");
});

Deno.test("published mode gives a worked example of the released rule", () => {
  // One head, 4 layers, base 2, 10 scored rows, at most 4 provisional rows. The top 8 of all scores lie 5, 2, 1, 0 in the
  // layers; divided by 4 and rounded down 1, 0, 0, 0; the last layer is given what is missing from 2: 1, 0, 0, 1. Half of 4
  // each, scaled to 8 in all: 4, 0, 0, 4.
  const context = contextOf({ kvHeadCount: 1, promptLength: 12, budget: 4 });
  const policy = start(context, { mode: "published", window: 2, maximumRatio: 2 });
  const layer = (high: number) => Float32Array.from({ length: 10 }, (_, row) => row < high ? 1 + row / 16 : row / 1024);
  assert.deepEqual(prefill(policy, [layer(5), layer(2), layer(1), layer(0)]).rows, [4, 0, 0, 4]);
});

Deno.test("published mode equals a plain implementation of the released rule, row for row", () => {
  const random = seededRandom(2);
  for (const layerCount of [1, 2, 4, 5, 8, 26, 32]) {
    for (const budget of [9, 12, 24, 64]) {
      for (const promptLength of [budget + 1, budget + 2, 2 * budget, 240]) {
        const interval = [1, 3, 4, layerCount][randomInteger(random, 0, 3)];
        const maximumRatio = [1, 2.5, 5, 10, 1000][randomInteger(random, 0, 4)];
        const context = contextOf({ layerCount, budget, promptLength, kvHeadCount: randomInteger(random, 1, 3) });
        const scores = scoresFor(random, context);
        const policy = start(context, { mode: "published", interval, maximumRatio });
        assert.equal(policy.exactScores, true);
        assert.deepEqual(
          prefill(policy, scores).rows,
          publishedRows(scores, {
            headCount: context.kvHeadCount,
            promptLength,
            capacity: budget,
            window: WINDOW,
            maximumRatio,
            interval,
          }),
          `${layerCount} layers, budget ${budget}, prompt ${promptLength}, interval ${interval}, ratio ${maximumRatio}`,
        );
      }
    }
  }
});

Deno.test("mended budgets add up to the whole budget and keep caps and floors, on awkward shapes", () => {
  const random = seededRandom(3);
  for (const layerCount of [1, 2, 5, 26, 30, 32]) {
    for (const budget of [9, 20, 24, 64, 131]) {
      for (const promptLength of [budget + 1, budget + 17, 3 * budget, 500]) {
        for (const maximumRatio of [1, 1.5, 10, 1000]) {
          const context = contextOf({ layerCount, budget, promptLength });
          const base = budget - WINDOW;
          const policy = start(context, { maximumRatio, interval: randomInteger(random, 1, 6) });
          const { rows, shared } = prefill(policy, scoresFor(random, context));
          assert.equal(sum(rows), base * layerCount);
          const cap = Math.min(Math.floor(maximumRatio * base), promptLength - WINDOW);
          const floor = Math.min(base, Math.max(1, 16 * Math.round(0.1 * base / 16)));
          for (const count of rows) assert.ok(count <= cap && count >= floor, `${count} rows of at most ${cap}`);
          for (const budgets of shared) assert.ok(sum(budgets) <= base * layerCount);
        }
      }
    }
  }
});

Deno.test("mended budgets are whole blocks, but for the last block and what a layer holds", () => {
  const context = contextOf({ layerCount: 32, budget: 128, promptLength: 4096 });
  const { rows } = prefill(start(context), scoresFor(seededRandom(4), context));
  assert.deepEqual(rows.filter((count) => count % 16 !== 0 && count !== 1200), []);
  assert.equal(sum(rows), 32 * 120);
});

Deno.test("mended sharing as layers arrive ends exactly where sharing once does, and never grows a layer", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 60; round++) {
    const context = contextOf({
      layerCount: randomInteger(random, 1, 20),
      budget: randomInteger(random, 9, 150),
      promptLength: 600,
    });
    const scores = scoresFor(random, context);
    const options = { maximumRatio: 1 + 9 * random(), floor: random() };
    const once = prefill(start(context, { ...options, interval: context.layerCount }), scores);
    const often = prefill(start(context, { ...options, interval: randomInteger(random, 1, 5) }), scores);
    assert.deepEqual(often.rows, once.rows);
    often.shared.reduce((earlier, later) => {
      earlier.forEach((rows, layer) => assert.ok(later[layer] <= rows));
      return later;
    });
  }
});

Deno.test("The interval bounds the rows held at once during a prefill", () => {
  const context = contextOf({ layerCount: 32, budget: 128, promptLength: 4096 });
  const { peakRows } = prefill(start(context), scoresFor(seededRandom(6), context));
  assert.ok(peakRows <= 32 * 120 + 2 * 5 * 120);
});

Deno.test("mended budgets take the highest scores of all layers, to one bin and half a block", () => {
  // Whatever the histogram blurs: in no layer may a block be left whose middle score lies more than one bin (1/32) above that
  // of the last block kept in another layer.
  const random = seededRandom(7);
  for (let round = 0; round < 20; round++) {
    const context = contextOf({
      layerCount: randomInteger(random, 2, 12),
      budget: 136,
      promptLength: 900,
      kvHeadCount: 3,
    });
    const scores = scoresFor(random, context);
    const { rows } = prefill(start(context, { floor: 0 }), scores);
    const sorted = scores.map((own) => Float32Array.from(own).sort().reverse());
    const middleScore = (layer: number, block: number) => sorted[layer][3 * (16 * block + 8)];
    const cap = start(context).provisionalRows(0);
    const leastKept = Math.min(
      ...rows.flatMap((count, layer) => count > 0 ? middleScore(layer, Math.ceil(count / 16) - 1) : []),
    );
    const mostLeft = Math.max(
      ...rows.flatMap((count, layer) => count < cap ? middleScore(layer, Math.ceil(count / 16)) : []),
    );
    assert.ok(leastKept >= mostLeft * (1 - 1 / 32), `kept down to ${leastKept}, left ${mostLeft}`);
  }
});

Deno.test("mended budgets follow an exact global top-k to a block, where no cap or floor interferes", () => {
  // Each layer is rounded to the nearest block at one threshold. That threshold may itself move by what the rounding of all
  // layers adds up to, and by a bin: one more block covers both for scores as smooth as these.
  const random = seededRandom(8);
  for (let round = 0; round < 20; round++) {
    const context = contextOf({ layerCount: 16, budget: 136, promptLength: 2500, kvHeadCount: 4 });
    const scores = scoresFor(random, context);
    const { rows } = prefill(start(context, { floor: 0, maximumRatio: 1000 }), scores);
    const exact = exactTopCounts(scores, 128 * 4 * 16);
    rows.forEach((count, layer) =>
      assert.ok(Math.abs(count - exact[layer] / 4) <= 24, `${count} for ${exact[layer] / 4}`)
    );
  }
});

Deno.test("A dominating layer is capped, and what it cannot take goes to the others", () => {
  const context = contextOf({ layerCount: 4, budget: 72, promptLength: 2000 });
  const flat = (score: number) => new Float32Array(2 * 1992).fill(score);
  const options = { maximumRatio: 2, floor: 0 };
  assert.deepEqual(prefill(start(context, options), [flat(1), flat(0.1), flat(0.01), flat(0.001)]).rows, [
    128,
    128,
    0,
    0,
  ]);
});

Deno.test("The floor keeps a starved layer alive", () => {
  const context = contextOf({ layerCount: 4, budget: 168, promptLength: 2000 });
  const flat = (score: number) => new Float32Array(2 * 1992).fill(score);
  const scores = [flat(0.001), flat(1), flat(0), flat(0.1)];
  assert.deepEqual(prefill(start(context), scores).rows, [16, 592, 16, 16]);
  assert.deepEqual(prefill(start(context, { floor: 0.25 }), scores).rows, [48, 496, 48, 48]);
  assert.deepEqual(prefill(start(context, { floor: 1 }), scores).rows, [160, 160, 160, 160]);
  assert.deepEqual(
    prefill(start(context, { mode: "published" }), scores).rows[2],
    0,
    "which the released rule does not",
  );
});

Deno.test("Layers alike get alike, to a block, even where every score is the same or none can be told from zero", () => {
  const context = contextOf({ layerCount: 5, budget: 100, promptLength: 700 });
  for (const score of [0, 1e-30, 0.5, 8]) {
    const scores = Array.from({ length: 5 }, () => new Float32Array(2 * 692).fill(score));
    const { rows } = prefill(start(context), scores);
    assert.equal(sum(rows), 5 * 92);
    assert.ok(Math.max(...rows) - Math.min(...rows) <= 16, `${rows}`);
  }
});

Deno.test("before the first sharing, a layer of the mended mode holds no more than all layers together may keep", () => {
  // A mean of ten rows beside the window.
  const context = contextOf({ layerCount: 3, budget: 10 + WINDOW });
  const rows = (mode: string) => start(context, { mode }).provisionalRows(0);
  // Five times the mean would be 50; ten times, if published, are 100 whatever there is to share.
  assert.equal(rows("mended"), 30);
  assert.equal(rows("published"), 100);
});
