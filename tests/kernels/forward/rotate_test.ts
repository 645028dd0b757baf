import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../../src/cache/block.ts";
import {
  NO_WINDOW,
  rotateKernel,
  rotatePagesDispatch,
  rotateScratchDispatch,
  type RotateVariant,
} from "../../../src/kernels/forward/rotate.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { loadElements, storeElements } from "../../support/half.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

const CONTEXT = 40;
const EPSILON = 1e-6;

/** cos and sin `[CONTEXT, headSize / 2, 2]` of a base of 100. */
function angleTable(headSize: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: CONTEXT * headSize }, (_, index) => {
    const pair = (index >> 1) % (headSize / 2);
    const angle = Math.floor(index / headSize) * 100 ** (-2 * pair / headSize);
    return index % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
}

/** One head normalised and rotated, in f64. */
function rotated(head: ArrayLike<number>, norm: ArrayLike<number> | null, position: number, pairing: string): number[] {
  const size = head.length;
  const x = Array.from(head);
  if (norm) {
    const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / size + EPSILON);
    for (let i = 0; i < size; i++) x[i] *= scale * norm[i];
  }
  const out = new Array<number>(size);
  for (let pair = 0; pair < size / 2; pair++) {
    const [i, j] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + size / 2];
    const angle = position * 100 ** (-2 * pair / size);
    out[i] = x[i] * Math.cos(angle) - x[j] * Math.sin(angle);
    out[j] = x[i] * Math.sin(angle) + x[j] * Math.cos(angle);
  }
  return out;
}

// f32 sums of at most 256 squares; half precision keeps 11 bits.
const near = (actual: number, expected: number, element: string, label: string) =>
  assert.ok(
    Math.abs(actual - expected) <= (element === "f16" ? 1e-3 : 5e-6) * (1 + Math.abs(expected)),
    `${label}: ${actual}, expected ${expected}`,
  );

const VARIANTS: Omit<RotateVariant, "destination">[] = [
  { element: "f32", queryHeads: 3, kvHeads: 1, headSize: 8, pairing: "adjacent", queryKeyNorm: false },
  { element: "f32", queryHeads: 4, kvHeads: 2, headSize: 24, pairing: "halves", queryKeyNorm: true },
  { element: "f16", queryHeads: 2, kvHeads: 2, headSize: 64, pairing: "halves", queryKeyNorm: false },
  { element: "f16", queryHeads: 7, kvHeads: 1, headSize: 256, pairing: "adjacent", queryKeyNorm: true },
];

Deno.test("rotate() writes prompt rows to the layer's scratch and the last queries to the windows", async () => {
  const gpu = await testGpu();
  for (const shape of VARIANTS) {
    const variant: RotateVariant = { ...shape, destination: "scratch" };
    const { element, queryHeads, kvHeads, headSize, pairing, queryKeyNorm } = variant;
    const random = seededRandom(headSize);
    const [count, firstRow, capacity] = [5, 2, 9];
    const heads = queryHeads + 2 * kvHeads;
    const stride = heads * headSize + 32;
    const qkv = normalValues(random, count * stride);
    const norms = normalValues(random, 2 * headSize);
    const positions = [0, 1, 2, 3, 0, 1, 39, 3, 4];
    const windows = [NO_WINDOW, NO_WINDOW, NO_WINDOW, 1, NO_WINDOW, NO_WINDOW, 0, NO_WINDOW, NO_WINDOW];
    const rows = Uint32Array.from(positions.flatMap((position, row) => [position, 0, windows[row], 0]));
    const blank = new Float32Array(kvHeads * capacity * headSize).fill(9);
    const results = await runKernel(
      gpu,
      rotateKernel(variant),
      rotateScratchDispatch({
        queryHeads,
        kvHeads,
        headSize,
        firstRow,
        count,
        qkvStride: stride,
        epsilon: EPSILON,
        positionLimit: CONTEXT,
        capacity,
      }),
      [
        qkv,
        angleTable(headSize),
        ...(queryKeyNorm ? [norms] : []),
        rows,
        new Float32Array(count * queryHeads * headSize),
        storeElements(element, blank),
        storeElements(element, blank),
        new Float32Array(2 * queryHeads * headSize),
      ],
    );
    const [q, keys, values, window] = results.slice(-4);
    const [k, v] = [loadElements(element, keys), loadElements(element, values)];
    for (let m = 0; m < count; m++) {
      const row = firstRow + m;
      for (let head = 0; head < heads; head++) {
        const source = qkv.subarray(m * stride + head * headSize, m * stride + (head + 1) * headSize);
        const isQuery = head < queryHeads;
        const isValue = head >= queryHeads + kvHeads;
        const norm = queryKeyNorm ? norms.subarray(isQuery ? 0 : headSize, isQuery ? headSize : 2 * headSize) : null;
        const expected = isValue ? source : rotated(source, norm, positions[row], pairing);
        for (let d = 0; d < headSize; d++) {
          const label = `head ${head} row ${row} element ${d}`;
          if (isQuery) {
            near(new Float32Array(q)[(m * queryHeads + head) * headSize + d], expected[d], "f32", label);
            if (windows[row] !== NO_WINDOW) {
              near(
                new Float32Array(window)[(windows[row] * queryHeads + head) * headSize + d],
                expected[d],
                "f32",
                label,
              );
            }
          } else {
            const kvHead = (head - queryHeads) % kvHeads;
            near((isValue ? v : k)[(kvHead * capacity + row) * headSize + d], expected[d], element, label);
          }
        }
      }
    }
    for (const row of [0, 1, 7, 8]) assert.equal(k[row * headSize], 9, "rows outside the tile stay untouched");
  }
});

Deno.test("rotate() writes decoded rows to the next slot of each sequence's pages", async () => {
  const gpu = await testGpu();
  for (const shape of VARIANTS) {
    const variant: RotateVariant = { ...shape, destination: "pages" };
    const { element, queryHeads, kvHeads, headSize, pairing, queryKeyNorm } = variant;
    const random = seededRandom(headSize + 1);
    const heads = queryHeads + 2 * kvHeads;
    const stride = heads * headSize;
    const [layer, step, countMax, tableStride] = [1, 2, 4, 3];
    const qkv = normalValues(random, 2 * stride);
    const norms = normalValues(random, 2 * headSize);
    // Sequence 0: 5 ranked rows and 16 recent ones, so slot 2 of its third block. Sequence 1: nothing ranked, 0 recent.
    const layerRows = new Uint32Array(2 * countMax * 2);
    layerRows.set([5, 16, 0, 0], layer * countMax * 2);
    const tables = Uint32Array.from([0, 0, 0, 6, 5, 4, 0, 0, 0, 3, 2, 1]);
    const rows = Uint32Array.from([0, 20, 0, 0, 1, 7, 6, 0]);
    const blockElements = BLOCK_ROWS * kvHeads * headSize * 2;
    const results = await runKernel(
      gpu,
      rotateKernel(variant),
      rotatePagesDispatch({
        queryHeads,
        kvHeads,
        headSize,
        firstRow: 0,
        count: 2,
        qkvStride: stride,
        epsilon: EPSILON,
        positionLimit: CONTEXT,
        layer,
        step,
        countMax,
        tableStride,
      }),
      [
        qkv,
        angleTable(headSize),
        ...(queryKeyNorm ? [norms] : []),
        rows,
        layerRows,
        tables,
        new Float32Array(2 * queryHeads * headSize),
        storeElements(element, new Float32Array(7 * blockElements).fill(9)),
      ],
    );
    const arena = loadElements(element, results.at(-1)!);
    let written = 0;
    for (const [m, block, slot, position] of [[0, 4, 2, 22], [1, 3, 2, 9]]) {
      for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
        for (const isValue of [0, 1]) {
          const from = m * stride + (queryHeads + isValue * kvHeads + kvHead) * headSize;
          const source = qkv.subarray(from, from + headSize);
          const expected = isValue
            ? source
            : rotated(source, queryKeyNorm ? norms.subarray(headSize) : null, position, pairing);
          const at = block * blockElements + ((kvHead * 2 + isValue) * BLOCK_ROWS + slot) * headSize;
          for (let d = 0; d < headSize; d++) near(arena[at + d], expected[d], element, `sequence ${m} element ${d}`);
          written += headSize;
        }
      }
    }
    assert.equal(arena.filter((value) => value === 9).length, arena.length - written, "nothing else is touched");
  }
});
