import assert from "node:assert/strict";
import {
  BIN_COUNT,
  binLowerEdge,
  histogramEntropy,
  histogramOf,
  scoreBin,
  scoreDepth,
  sumOf,
} from "../../src/scores/score_histogram.ts";
import { randomScores } from "../support/prefill.ts";
import { normalValues, seededRandom } from "../../fixtures/random.ts";

Deno.test("scoreBin() has 32 bins an octave from 2^-24 to 2^3", () => {
  assert.equal(BIN_COUNT, 27 * 32);
  assert.equal(scoreBin(2 ** -24), 0);
  assert.equal(scoreBin(2 ** -23), 32);
  assert.equal(scoreBin(1), 24 * 32);
  assert.equal(scoreBin(1 + 1 / 32), 24 * 32 + 1);
  assert.equal(scoreBin(1.999), 24 * 32 + 31);
});

Deno.test("scoreBin() puts what is smaller or larger in the outermost bins", () => {
  for (const score of [0, 1e-45, 1e-30, 2 ** -25]) assert.equal(scoreBin(score), 0);
  for (const score of [8, 64, Infinity]) assert.equal(scoreBin(score), BIN_COUNT - 1);
});

Deno.test("A bin holds the scores from its lower edge up to the next bin's", () => {
  assert.equal(binLowerEdge(0), 0);
  for (let bin = 1; bin < BIN_COUNT; bin++) {
    const edge = binLowerEdge(bin);
    assert.equal(scoreBin(edge), bin);
    // The f32 just below the edge.
    assert.equal(scoreBin(edge * (1 - 2 ** -24)), bin - 1);
    assert.ok(binLowerEdge(bin) > binLowerEdge(bin - 1));
  }
  assert.equal(binLowerEdge(24 * 32 + 16), 1.5);
});

Deno.test("histogramOf() counts every score once", () => {
  const histogram = histogramOf([0, 1, 1.01, 1.5, 8]);
  assert.equal(histogram[0], 1);
  assert.equal(histogram[scoreBin(1)], 2);
  assert.equal(histogram[scoreBin(1.5)], 1);
  assert.equal(histogram[BIN_COUNT - 1], 1);
  assert.equal(histogram.reduce((a, b) => a + b), 5);
});

Deno.test("scoreDepth() splits a bin in proportion", () => {
  const histogram = new Uint32Array(BIN_COUNT);
  histogram[BIN_COUNT - 3] = 4;
  histogram[BIN_COUNT - 10] = 2;
  const depth = scoreDepth(histogram);
  assert.deepEqual([1, 2, 3, 5].map(depth), [2.25, 2.5, 2.75, 9.5]);
  assert.equal(depth(6), BIN_COUNT);
  assert.equal(depth(7), BIN_COUNT);
  assert.equal(scoreDepth(new Uint32Array(BIN_COUNT))(0), BIN_COUNT);
});

Deno.test("scoreDepth() lies in the bin of the score with that rank", () => {
  const [scores] = randomScores(seededRandom(4), 1, 3000);
  const sorted = [...scores].sort((a, b) => b - a);
  const depth = scoreDepth(histogramOf(scores));
  for (let rank = 0; rank < sorted.length; rank += 7) {
    assert.equal(BIN_COUNT - 1 - Math.floor(depth(rank + 0.5)), scoreBin(sorted[rank]));
  }
});

Deno.test("histogramEntropy() is close to that of the scores themselves, whatever their scale", () => {
  const random = seededRandom(9);
  for (const spread of [0, 0.5, 1, 2]) {
    for (const level of [-8, -4, -1]) {
      const scores = normalValues(random, 4000).map((value) => Math.min(7, Math.exp(level + spread * value)));
      const total = scores.reduce((sum, score) => sum + score, 0);
      const entropy = -scores.reduce((sum, score) => sum + score / total * Math.log(score / total), 0);
      // Each probability is off by 1.6 % at most, and mostly by chance either way.
      assert.ok(Math.abs(histogramEntropy(histogramOf(scores)) - entropy) < 2e-3 * entropy, `${level} ${spread}`);
    }
  }
  assert.equal(histogramEntropy(new Uint32Array(BIN_COUNT)), 0);
  assert.ok(Math.abs(histogramEntropy(histogramOf([1])) - 0) < 1e-12);
  assert.equal(histogramEntropy(histogramOf([0, 0])), 0);
});

Deno.test("sumOf() counts the scores of all histograms", () => {
  assert.deepEqual(sumOf([histogramOf([1, 2]), histogramOf([]), histogramOf([2, 0.1])]), histogramOf([1, 2, 2, 0.1]));
});
