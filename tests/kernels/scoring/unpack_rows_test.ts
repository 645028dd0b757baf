import assert from "node:assert/strict";
import { BLOCK_ROWS, blocksFor } from "../../../src/cache/block.ts";
import type { KvElement } from "../../../src/kernels/kv_element.ts";
import { unpackRows, unpackRowsDispatch, type UnpackRowsShape } from "../../../src/kernels/scoring/unpack_rows.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { randomInteger, seededRandom } from "../../../fixtures/random.ts";

const EMPTY = -7;

async function checkUnpack(element: KvElement, shape: UnpackRowsShape, seed: number): Promise<void> {
  const { kvHeadCount, headSize, capacity, start, ranked, recent, first = 0, tableOffset } = shape;
  const random = seededRandom(seed);
  const blocks = blocksFor(ranked) + blocksFor(recent);
  const arenaBlocks = blocks + 2;
  const table = new Uint32Array(tableOffset + blocks).fill(1_000_000);
  for (let i = 0; i < blocks; i++) table[tableOffset + i] = arenaBlocks - 1 - i;
  // Small whole numbers are exact in f16.
  const arena = kvArray(
    element,
    Array.from({ length: arenaBlocks * kvHeadCount * 2 * BLOCK_ROWS * headSize }, () => randomInteger(random, 0, 2000)),
  );
  const scratch = () => kvArray(element, new Float32Array(kvHeadCount * capacity * headSize).fill(EMPTY));
  const expected = [scratch(), scratch()];
  for (let head = 0; head < kvHeadCount; head++) {
    for (let row = first; row < ranked + recent; row++) {
      const slot = row < ranked ? row : blocksFor(ranked) * BLOCK_ROWS + row - ranked;
      const block = table[tableOffset + Math.floor(slot / BLOCK_ROWS)];
      expected.forEach((plane, index) => {
        const source = (((block * kvHeadCount + head) * 2 + index) * BLOCK_ROWS + slot % BLOCK_ROWS) * headSize;
        plane.set(arena.subarray(source, source + headSize), (head * capacity + start + row - first) * headSize);
      });
    }
  }
  const results = await runKernel(
    await testGpu(),
    unpackRows(element),
    unpackRowsDispatch(shape),
    [arena, table, scratch(), scratch()],
  );
  assert.deepEqual(readKv(element, results[2]), expected[0]);
  assert.deepEqual(readKv(element, results[3]), expected[1]);
}

for (const element of ["f16", "f32"] as const) {
  Deno.test(`unpackRows() of ${element} lays ranked and recent rows one after the other and touches nothing else`, async () => {
    const shapes: UnpackRowsShape[] = [
      { kvHeadCount: 1, headSize: 8, capacity: 3, start: 0, ranked: 0, recent: 1, tableOffset: 0 },
      { kvHeadCount: 3, headSize: 24, capacity: 60, start: 7, ranked: 16, recent: 37, tableOffset: 5 },
      { kvHeadCount: 2, headSize: 256, capacity: 40, start: 3, ranked: 17, recent: 16, tableOffset: 1 },
      { kvHeadCount: 2, headSize: 40, capacity: 50, start: 0, ranked: 50, recent: 0, tableOffset: 2 },
      { kvHeadCount: 2, headSize: 40, capacity: 50, start: 4, ranked: 20, recent: 30, first: 7, tableOffset: 0 },
      { kvHeadCount: 3, headSize: 16, capacity: 50, start: 2, ranked: 0, recent: 61, first: 33, tableOffset: 3 },
    ];
    for (const [index, shape] of shapes.entries()) await checkUnpack(element, shape, index + 1);
  });
}
