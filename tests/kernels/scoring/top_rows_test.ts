import assert from "node:assert/strict";
import { topRows, topRowsDispatch, topRowsScratchBytes } from "../../../src/kernels/scoring/top_rows.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomInteger, seededRandom } from "../../../fixtures/random.ts";
import { referenceTop } from "../../support/scores.ts";

/** Ranks `[kvHead][length]` scores and compares order and untouched entries. */
async function checkTopRows(heads: readonly Float32Array[], count: number): Promise<void> {
  const length = heads[0].length;
  const scoreCapacity = length + 3;
  const indexCapacity = count + 2;
  const untouched = 0xffffffff;
  // Highest outside the row, so that reading too far would show.
  const scores = new Float32Array(heads.length * scoreCapacity).fill(1e9);
  heads.forEach((head, index) => scores.set(head, index * scoreCapacity));
  const [, , data] = await runKernel(
    await testGpu(),
    topRows,
    topRowsDispatch({ kvHeadCount: heads.length, length, count, scoreCapacity, indexCapacity }),
    [
      scores,
      new Uint8Array(topRowsScratchBytes(heads.length, indexCapacity)),
      new Uint32Array(heads.length * indexCapacity).fill(untouched),
    ],
  );
  const indices = new Uint32Array(data);
  heads.forEach((head, index) => {
    const row = [...indices.subarray(index * indexCapacity, (index + 1) * indexCapacity)];
    assert.deepEqual(
      row,
      [...referenceTop(head, count), untouched, untouched],
      `head ${index}, ${count} of ${length} rows`,
    );
  });
}

Deno.test("topRows() ranks random scores as a sort does", async () => {
  const random = seededRandom(1);
  const scores = (length: number) => Float32Array.from({ length }, () => 2 ** (6 - 30 * random()));
  for (const [heads, length, count] of [[1, 1, 1], [2, 2, 1], [3, 100, 100], [2, 300, 17], [5, 257, 256]]) {
    await checkTopRows(Array.from({ length: heads }, () => scores(length)), count);
  }
});

Deno.test("topRows() ranks several thousand rows out of many", async () => {
  const random = seededRandom(2);
  const scores = () => Float32Array.from({ length: 9001 }, () => random() * random() * 1e-3);
  await checkTopRows([scores(), scores()], 5003);
});

Deno.test("topRows() breaks ties by the lower position", async () => {
  const random = seededRandom(3);
  await checkTopRows([new Float32Array(700), new Float32Array(700).fill(0.125)], 333);
  for (const levels of [2, 3, 10]) {
    const heads = Array.from(
      { length: 3 },
      () => Float32Array.from({ length: 1000 }, () => randomInteger(random, 0, levels - 1) / 7),
    );
    for (const count of [1, 499, 999, 1000]) await checkTopRows(heads, count);
  }
});

Deno.test("topRows() tells apart scores that differ in any one bit", async () => {
  const bits = Uint32Array.from({ length: 31 }, (_, bit) => bit === 30 ? 0x40000000 : 0x3f000000 ^ (1 << bit));
  await checkTopRows([new Float32Array(bits.buffer)], 31);
  await checkTopRows([new Float32Array(bits.buffer)], 13);
});
