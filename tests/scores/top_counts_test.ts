import assert from "node:assert/strict";
import { BIN_COUNT, histogramOf } from "../../src/scores/score_histogram.ts";
import { topCounts } from "../../src/scores/top_counts.ts";
import { randomScores } from "../support/prefill.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

Deno.test("topCounts() counts whole bins from the highest on and splits the one on the boundary in proportion", () => {
  const histograms = [histogramOf([1, 1, 0.5, 0.5, 0.5]), histogramOf([1, 0.5]), histogramOf([0.1])];
  assert.deepEqual([...topCounts(histograms, 3)], [2, 1, 0]);
  assert.deepEqual([...topCounts(histograms, 5)], [2 + 2 * 3 / 4, 1 + 2 / 4, 0]);
  assert.deepEqual([...topCounts(histograms, 7)], [5, 2, 0]);
  assert.deepEqual([...topCounts(histograms, 0)], [0, 0, 0]);
  assert.deepEqual([...topCounts(histograms, 100)], [5, 2, 1], "there are no more");
  assert.deepEqual([...topCounts([new Uint32Array(BIN_COUNT)], 5)], [0]);
});

Deno.test("topCounts() never falls as the count rises, and adds up to it", () => {
  const random = seededRandom(1);
  for (let round = 0; round < 20; round++) {
    const scores = randomScores(random, randomInteger(random, 1, 6), randomInteger(random, 1, 400));
    const all = scores.reduce((sum, { length }) => sum + length, 0);
    let before: ArrayLike<number> = new Float64Array(scores.length);
    for (let count = 0; count <= all; count += randomInteger(random, 1, 50)) {
      const counts = topCounts(scores.map(histogramOf), count);
      assert.ok(Math.abs(counts.reduce((sum, own) => sum + own, 0) - count) < 1e-6);
      counts.forEach((own, i) => assert.ok(own >= before[i] - 1e-9 && own <= scores[i].length + 1e-9));
      before = counts;
    }
  }
});
