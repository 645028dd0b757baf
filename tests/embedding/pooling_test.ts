import assert from "node:assert/strict";
import { normalise, pool } from "../../src/embedding/pooling.ts";

/** Three tokens of two numbers. */
const STATES = Float32Array.of(1, -6, 4, 2, -2, 1);

Deno.test("tokens are pooled by their mean, maxima, first or last", () => {
  assert.deepEqual([...pool(STATES, 2, "mean")], [1, -1]);
  assert.deepEqual([...pool(STATES, 2, "max")], [4, 2]);
  assert.deepEqual([...pool(STATES, 2, "cls")], [1, -6]);
  assert.deepEqual([...pool(STATES, 2, "lasttoken")], [-2, 1]);
});

Deno.test("vectors are scaled to length 1, and one of zeros stays", () => {
  assert.deepEqual([...normalise(Float32Array.of(3, -4))], [...Float32Array.of(0.6, -0.8)]);
  assert.deepEqual([...normalise(Float32Array.of(0, 0))], [0, 0]);
});
