import assert from "node:assert/strict";
import { exactTopCounts } from "../../src/scores/exact_top_counts.ts";
import { randomScores } from "../support/prefill.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

function sortedTopCounts(layers: readonly Float32Array[], count: number): number[] {
  const all = layers.flatMap((scores, layer) => Array.from(scores, (score) => ({ score, layer })));
  // Array.prototype.sort is stable: equal scores stay in the order of their layers.
  const top = all.sort((a, b) => b.score - a.score).slice(0, count);
  return layers.map((_, layer) => top.filter((entry) => entry.layer === layer).length);
}

Deno.test("exactTopCounts() agrees with sorting", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 40; round++) {
    const layers = randomScores(random, randomInteger(random, 1, 7), randomInteger(random, 1, 200));
    const count = randomInteger(random, 0, layers.length * layers[0].length + 3);
    assert.deepEqual([...exactTopCounts(layers, count)], sortedTopCounts(layers, count));
  }
});

Deno.test("exactTopCounts() takes equal scores from the first layers", () => {
  const random = seededRandom(6);
  for (let round = 0; round < 40; round++) {
    const layers = Array.from(
      { length: 4 },
      () => Float32Array.from({ length: 30 }, () => randomInteger(random, 0, 3) / 4),
    );
    const count = randomInteger(random, 0, 120);
    assert.deepEqual([...exactTopCounts(layers, count)], sortedTopCounts(layers, count));
  }
});

Deno.test("exactTopCounts() refuses scores that are negative or not a number", () => {
  assert.throws(() => exactTopCounts([Float32Array.of(1, NaN)], 1), /Score 1 of layer 0 .* NaN/);
  assert.throws(() => exactTopCounts([Float32Array.of(1), Float32Array.of(-1)], 1), /Score 0 of layer 1 .* -1/);
});
