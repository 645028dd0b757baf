import assert from "node:assert/strict";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { heldTopCounts } from "../../src/scores/held_top_counts.ts";
import { histogramOf } from "../../src/scores/score_histogram.ts";

/** Powers of two, of which none shares a bin with another: counts by bin are then exact. */
const levels = (random: () => number, length: number) =>
  Array.from({ length }, () => 2 ** -randomInteger(random, 0, 20));

/** The same by sorting, one row after the other, where no two scores are alike but within one list. */
function sortedCounts(lists: readonly number[][], caps: number[], floors: number[], count: number): number[] {
  const counts = lists.map((_, i) => Math.min(floors[i], caps[i]));
  // A list's floor is spent on its own best.
  const waiting = lists.flatMap((list, i) =>
    list.toSorted((a, b) => b - a).slice(counts[i], caps[i]).map((score) => ({ score, i }))
  );
  waiting.sort((a, b) => b.score - a.score);
  const left = count - counts.reduce((sum, rows) => sum + rows);
  for (const { i } of waiting.slice(0, left)) counts[i]++;
  return counts;
}

Deno.test("heldTopCounts() takes the best that caps allow over floors, as sorting does, and splits a bin evenly", () => {
  const random = seededRandom(1);
  for (let round = 0; round < 200; round++) {
    const lists = Array.from(
      { length: randomInteger(random, 1, 6) },
      () => levels(random, randomInteger(random, 1, 60)),
    );
    const caps = lists.map(({ length }) => randomInteger(random, 0, length));
    const floor = randomInteger(random, 0, 5);
    const floors = lists.map(() => floor);
    const least = lists.length * floor;
    const count = least + randomInteger(random, 0, 80);
    const counts = heldTopCounts(lists.map(histogramOf), caps, floors, count);
    const expected = sortedCounts(lists, caps, floors, count);
    const total = Math.min(count, caps.reduce((a, b) => a + b));
    assert.ok(Math.abs(counts.reduce((a, b) => a + b) - total) < 1e-9);
    counts.forEach((rows, i) => {
      assert.ok(rows >= Math.min(floor, caps[i]) && rows <= caps[i]);
      // Scores on the boundary are alike: who gets them is not said by their order.
      const most = Math.max(...lists.map((list) => Math.max(...levelCounts(list))));
      assert.ok(Math.abs(rows - expected[i]) <= most, `${counts}, expected ${expected}`);
    });
  }
});

function levelCounts(list: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const score of list) counts.set(score, (counts.get(score) ?? 0) + 1);
  return [...counts.values()];
}

Deno.test("heldTopCounts() gives a worked example", () => {
  const histograms = [[4, 4, 4, 1], [2, 2, 1, 1], [0, 0, 0, 0]].map(histogramOf);
  const count = (
    caps: number[],
    floors: number[],
    total: number,
  ) => [...heldTopCounts(histograms, caps, floors, total)];
  assert.deepEqual(count([4, 4, 4], [0, 0, 0], 4), [3, 1, 0].map((rows, i) => i === 1 ? 1 : rows));
  // What the first cannot take goes to the second best.
  assert.deepEqual(count([2, 4, 4], [0, 0, 0], 4), [2, 2, 0]);
  assert.deepEqual(count([4, 4, 4], [1, 1, 1], 5), [3, 1, 1]);
  // Two of three that are alike.
  assert.deepEqual(count([4, 4, 4], [0, 0, 0], 7), [3 + 2 / 3, 2 + 4 / 3, 0]);
  assert.deepEqual(count([4, 4, 4], [0, 0, 0], 100), [4, 4, 4]);
});

Deno.test("The more histograms heldTopCounts() is given, the less each gets", () => {
  const random = seededRandom(2);
  for (let round = 0; round < 100; round++) {
    const lists = Array.from({ length: 8 }, () => levels(random, 40));
    const caps = lists.map(() => randomInteger(random, 0, 40));
    const all = heldTopCounts(lists.map(histogramOf), caps, lists.map(() => 1), 50);
    const few = heldTopCounts(lists.slice(0, 3).map(histogramOf), caps.slice(0, 3), [1, 1, 1], 50);
    few.forEach((rows, i) => assert.ok(rows >= all[i] - 1e-9, `${few}, then ${all}`));
  }
});
