/** @file What dispatches have to read and compute at least. */
import assert from "node:assert/strict";
import { costOf } from "../../../bench/gpu/kernel_costs.ts";
import { SHAPES } from "../../../bench/gpu/shapes.ts";

const shape = SHAPES["llama-3-8b"];
const buffer = (size: number) => ({ size }) as GPUBuffer;

Deno.test("a product reads all bytes of its weights, and multiplies and adds each with every vector", () => {
  // 4,096 rows of 14,336 Q4_K weights: half a byte each; 2 bytes for 32 of them; 4 bytes for 256.
  const elements = 4096 * 14336;
  const planes = [elements / 2, elements / 16, elements / 64].map(buffer);
  const cost = costOf("matvec Q4_K 14336 x4 residual", [...planes, buffer(999)], { shape, vectors: 4, cacheRows: 1 });
  assert.deepEqual(cost, { bytes: elements * 0.578125, operations: 2 * elements * 4 });
});

Deno.test("decode attention reads every stream's keys and values of a layer once", () => {
  const cost = costOf("decode attention f16 32/8x128", [], { shape, vectors: 3, cacheRows: 1000 });
  // Keys and values, 8 heads, 128 elements of 2 bytes; scores and sums of 32 heads, 2 operations an element each.
  assert.deepEqual(cost, { bytes: 3 * 1000 * 2 * 8 * 128 * 2, operations: 3 * 1000 * 32 * 128 * 4 });
});

Deno.test("causal attention of a tile sees fewer rows the earlier its own", () => {
  const { operations } = costOf("prefill attention f16 32/8x128", [], { shape, vectors: 2, cacheRows: 10 })!;
  // One row sees nine, the other ten.
  assert.equal(operations, (9 + 10) * 32 * 128 * 4);
});

Deno.test("nobody says what a kernel costs that has not been counted", () => {
  assert.equal(costOf("merge splits 32x128", [], { shape, vectors: 1, cacheRows: 1 }), undefined);
});
