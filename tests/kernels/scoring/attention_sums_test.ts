import assert from "node:assert/strict";
import type { Gpu } from "../../../src/gpu/gpu.ts";
import { attentionSums, attentionSumsDispatches } from "../../../src/kernels/scoring/attention_sums.ts";
import type { KvElement } from "../../../src/kernels/kv_element.ts";
import { LANES } from "../../../src/kernels/lanes.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { storeElements } from "../../support/half.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { referenceAttentionSums } from "../../support/scores.ts";

interface Heads {
  readonly element: KvElement;
  readonly queryHeadCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
}

const HEADS: readonly Heads[] = [
  { element: "f32", queryHeadCount: 1, kvHeadCount: 1, headSize: 8 },
  { element: "f16", queryHeadCount: 2, kvHeadCount: 2, headSize: 16 },
  { element: "f16", queryHeadCount: 6, kvHeadCount: 2, headSize: 24 },
  { element: "f16", queryHeadCount: 7, kvHeadCount: 1, headSize: 64 },
  { element: "f32", queryHeadCount: 4, kvHeadCount: 2, headSize: 80 },
  { element: "f16", queryHeadCount: 2, kvHeadCount: 1, headSize: 256 },
];

/** Sums the attention of a prompt whose queries come in lots of `counts`, and checks it against f64. */
async function checkSums(
  gpu: Gpu,
  { element, ...heads }: Heads,
  { counts, subgroupSize, queryScale, tolerance }: {
    readonly counts: readonly number[];
    readonly subgroupSize: number | undefined;
    readonly queryScale: number;
    readonly tolerance: number;
  },
): Promise<void> {
  const { kvHeadCount, queryHeadCount, headSize } = heads;
  const length = counts.reduce((sum, count) => sum + count, 0);
  // Other prompts lie on both sides, and in the tile before its queries.
  const [start, tileRow] = [5, 3];
  const capacity = start + length + 4;
  const dims = { ...heads, capacity };
  const random = seededRandom(length * headSize);
  const keys = storeElements(element, normalValues(random, kvHeadCount * capacity * headSize));
  const width = queryHeadCount * headSize;
  const queries = normalValues(random, length * width, queryScale);
  const { statistics, sums } = attentionSums({ element, headSize, subgroupSize });
  // What an earlier layer left is to be written over, what other prompts have is not.
  let found = new Float32Array(kvHeadCount * capacity).fill(1000);
  let first = 0;
  for (const count of counts) {
    const tile = new Float32Array((tileRow + count) * width).fill(1e3);
    tile.set(queries.subarray(first * width, (first + count) * width), tileRow * width);
    const dispatches = attentionSumsDispatches({ ...dims, start, first, tileRow, count, length });
    const empty = new Float32Array(queryHeadCount * count);
    const results = await runKernel(gpu, statistics, dispatches.statistics, [tile, keys, empty]);
    const ready = new Float32Array(results[2]);
    found = new Float32Array((await runKernel(gpu, sums, dispatches.sums, [tile, keys, ready, found]))[3]);
    first += count;
  }
  const expected = referenceAttentionSums(dims, { start, length }, keys, queries);
  found.forEach((actual, at) => {
    const head = Math.floor(at / capacity);
    const row = at % capacity - start;
    const wanted = row < 0 || row >= length ? 1000 : expected[head][row];
    assert.ok(
      Math.abs(actual - wanted) <= tolerance * wanted + Number.EPSILON,
      `${sums.label}, ${counts}: head ${head}, row ${row}: ${actual}, ${wanted}`,
    );
  });
}

async function checkAll(gpu: Gpu, subgroupSize: number | undefined): Promise<void> {
  for (const heads of HEADS) {
    for (const counts of [[1], [64, 70, 9]]) {
      // Logits up to about 10 are off by 1e-6 each, and up to 143 numbers of each of 7 heads are added.
      await checkSums(gpu, heads, { counts, subgroupSize, queryScale: 2, tolerance: 4e-5 });
    }
  }
  // Logits up to 200, whose exponentials exceed an f32: they are rounded to 2^-17, and so is the logarithm of their sum.
  const large = { counts: [40, 50], subgroupSize, queryScale: 40, tolerance: 2e-4 };
  await checkSums(gpu, { element: "f32", queryHeadCount: 4, kvHeadCount: 2, headSize: 24 }, large);
}

Deno.test("attention sums are those of all queries of a prompt, in whatever lots they come", async () => {
  await checkAll(await testGpu(), undefined);
});

Deno.test("attention sums of subgroups are those of all queries of a prompt", async (t) => {
  const gpu = await testGpu();
  await t.step({
    name: `subgroups of ${LANES}`,
    ignore: gpu.subgroupSize !== LANES,
    fn: () => checkAll(gpu, gpu.subgroupSize),
  });
});
