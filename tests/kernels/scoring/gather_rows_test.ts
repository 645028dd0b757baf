import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../../src/cache/block.ts";
import { gatherRows, gatherRowsDispatch, type GatherRowsShape } from "../../../src/kernels/scoring/gather_rows.ts";
import type { KvElement } from "../../../src/kernels/kv_element.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { randomInteger, seededRandom } from "../../../fixtures/random.ts";

const EMPTY = -7;

async function checkGather(element: KvElement, shape: GatherRowsShape, seed: number): Promise<void> {
  const { kvHeadCount, headSize, capacity, indexCapacity, isRanked, start, count, tableOffset, slot = 0 } = shape;
  const random = seededRandom(seed);
  // Small whole numbers are exact in f16.
  const numbers = () =>
    kvArray(element, Array.from({ length: kvHeadCount * capacity * headSize }, () => randomInteger(random, 0, 2000)));
  const keys = numbers();
  const values = numbers();
  const indices = Uint32Array.from(
    { length: kvHeadCount * indexCapacity },
    () => randomInteger(random, 0, capacity - start - 1),
  );
  const blocks = Math.ceil((slot + count) / BLOCK_ROWS);
  const arenaBlocks = blocks + 3;
  // Blocks in descending order, so that no two neighbours are neighbours in the arena by accident.
  const table = new Uint32Array(tableOffset + blocks).fill(1_000_000);
  for (let i = 0; i < blocks; i++) table[tableOffset + i] = arenaBlocks - 2 - i;
  const blockElements = kvHeadCount * 2 * BLOCK_ROWS * headSize;
  const arena = kvArray(element, new Float32Array(arenaBlocks * blockElements).fill(EMPTY));
  const expected = arena.slice();
  for (let head = 0; head < kvHeadCount; head++) {
    for (let row = 0; row < count; row++) {
      const source = head * capacity + start + (isRanked ? indices[head * indexCapacity + row] : row);
      const block = table[tableOffset + Math.floor((slot + row) / BLOCK_ROWS)];
      for (const [plane, from] of [keys, values].entries()) {
        const target = ((block * kvHeadCount + head) * 2 + plane) * BLOCK_ROWS + (slot + row) % BLOCK_ROWS;
        expected.set(from.subarray(source * headSize, (source + 1) * headSize), target * headSize);
      }
    }
  }
  const results = await runKernel(
    await testGpu(),
    gatherRows(element),
    gatherRowsDispatch(shape),
    [keys, values, indices, table, arena],
  );
  assert.deepEqual(readKv(element, results[4]), expected);
}

for (const element of ["f16", "f32"] as const) {
  Deno.test(`gatherRows() of ${element} copies ranges to their block, row and head and touches nothing else`, async () => {
    const plain = { isRanked: false, indexCapacity: 1 };
    const shapes: GatherRowsShape[] = [
      { ...plain, kvHeadCount: 1, headSize: 8, capacity: 4, start: 3, count: 1, tableOffset: 0 },
      { ...plain, kvHeadCount: 3, headSize: 24, capacity: 60, start: 7, count: 37, tableOffset: 5 },
      { ...plain, kvHeadCount: 2, headSize: 256, capacity: 20, start: 0, count: 16, tableOffset: 1 },
      { ...plain, kvHeadCount: 2, headSize: 16, capacity: 70, start: 2, count: 50, tableOffset: 1, slot: 27 },
    ];
    for (const [index, shape] of shapes.entries()) await checkGather(element, shape, index + 1);
  });

  Deno.test(`gatherRows() of ${element} copies each head's own ranked rows and touches nothing else`, async () => {
    const ranked = { isRanked: true };
    const shapes: GatherRowsShape[] = [
      { ...ranked, kvHeadCount: 1, headSize: 8, capacity: 9, indexCapacity: 1, start: 0, count: 1, tableOffset: 0 },
      {
        ...ranked,
        kvHeadCount: 3,
        headSize: 24,
        capacity: 90,
        indexCapacity: 50,
        start: 11,
        count: 45,
        tableOffset: 3,
      },
      {
        ...ranked,
        kvHeadCount: 2,
        headSize: 128,
        capacity: 40,
        indexCapacity: 33,
        start: 5,
        count: 33,
        tableOffset: 2,
      },
    ];
    for (const [index, shape] of shapes.entries()) await checkGather(element, shape, index + 10);
  });
}
