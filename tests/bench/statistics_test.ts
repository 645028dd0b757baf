import assert from "node:assert/strict";
import { attentionOperations, median, productOperations, relativeDifference } from "../../bench/statistics.ts";

Deno.test("median() is the middle value, whatever the order, or the mean of the two middle ones", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 2, 4, 100]), 7);
  assert.equal(median([3]), 3);
  assert.throws(() => median([]), RangeError);
});

Deno.test("median() leaves its argument as it was", () => {
  const values = [3, 1, 2];
  median(values);
  assert.deepEqual(values, [3, 1, 2]);
});

Deno.test("productOperations() counts a multiplication and an addition for every term of every sum", () => {
  // A [2 x 3] matrix times one vector: two sums of three products.
  assert.equal(productOperations(1, 3, 2), 12);
  assert.equal(productOperations(5, 3, 2), 60);
});

Deno.test("attentionOperations() counts the pairs of queries and keys that a causal mask leaves", () => {
  const counted = (rows: number, total: number) => {
    let pairs = 0;
    for (let row = total - rows; row < total; row++) for (let key = 0; key <= row; key++) pairs++;
    // For each pair and head a dot product and a weighted sum of headSize elements, two operations each.
    return pairs * 3 * 8 * 4;
  };
  for (const [rows, total] of [[1, 1], [4, 4], [1, 7], [3, 10]]) {
    assert.equal(attentionOperations(3, 8, rows, total), counted(rows, total));
  }
});

Deno.test("relativeDifference() compares the worst element with the root mean square", () => {
  assert.equal(relativeDifference([3, 4], [3, 4]), 0);
  // Root mean square of (3, 4) is sqrt(12.5); the worst difference is 1.
  assert.equal(relativeDifference([3, 5], [3, 4]), 1 / Math.sqrt(12.5));
});

Deno.test("relativeDifference() is no number where an element is none", () => {
  assert.ok(Number.isNaN(relativeDifference([NaN, 4], [3, 4])));
  assert.ok(Number.isNaN(relativeDifference([3, NaN], [3, 4])));
  assert.ok(Number.isNaN(relativeDifference([3], [3, 4])), "a result that is too short");
});
