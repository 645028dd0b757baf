import assert from "node:assert/strict";
import type { Gpu } from "../../../src/gpu/gpu.ts";
import { BLOCK_ROWS, blocksFor, HEAD_WORDS, PACKED } from "../../../src/cache/block.ts";
import {
  decodeAttentionDispatches,
  decodeAttentionKernel,
  type DecodeAttentionVariant,
  mergeSplitsKernel,
  SPLIT_ROWS,
} from "../../../src/kernels/forward/decode_attention.ts";
import { prefillAttentionDispatch, prefillAttentionKernel } from "../../../src/kernels/forward/prefill_attention.ts";
import { subgroupDecodeAttentionKernel } from "../../../src/kernels/forward/subgroup_decode_attention.ts";
import { LANES } from "../../../src/kernels/lanes.ts";
import { subgroupPrefillAttentionKernel } from "../../../src/kernels/forward/subgroup_prefill_attention.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { loadElements, storeElements } from "../../support/half.ts";
import { normalValues, randomInteger, seededRandom } from "../../../fixtures/random.ts";

/** softmax(q k / sqrt(d)) v of one query over some rows, in f64. */
function attend(
  q: ArrayLike<number>,
  rows: readonly number[],
  key: (row: number, d: number) => number,
  value: typeof key,
) {
  const size = q.length;
  const logits = rows.map((row) => {
    let sum = 0;
    for (let d = 0; d < size; d++) sum += q[d] * key(row, d);
    return sum / Math.sqrt(size);
  });
  const top = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Array.from(
    { length: size },
    (_, d) => rows.reduce((sum, row, i) => sum + weights[i] * value(row, d), 0) / total,
  );
}

// K and V are compared as stored, so only f32 sums of a few hundred terms and exp() are left.
const TOLERANCE = 2e-5;

const SHAPES: DecodeAttentionVariant[] = [
  { element: "f32", queryHeads: 1, kvHeads: 1, headSize: 8 },
  { element: "f16", queryHeads: 2, kvHeads: 2, headSize: 16 },
  { element: "f16", queryHeads: 6, kvHeads: 2, headSize: 24 },
  { element: "f16", queryHeads: 7, kvHeads: 1, headSize: 64 },
  { element: "f32", queryHeads: 8, kvHeads: 1, headSize: 80 },
  { element: "f16", queryHeads: 2, kvHeads: 1, headSize: 128 },
  { element: "f16", queryHeads: 4, kvHeads: 1, headSize: 256 },
];

/** Attends with the kernels that `generate` makes, for several variants and packs of prompts, and checks the results. */
async function checkPrefillAttention(gpu: Gpu, generate: typeof prefillAttentionKernel): Promise<void> {
  for (const variant of SHAPES) {
    const { element, queryHeads, kvHeads, headSize } = variant;
    for (const prompts of [[1], [33], [5, 1, 40, 3, 31], [100]]) {
      const total = prompts.reduce((sum, length) => sum + length, 0);
      const capacity = total + 3;
      const random = seededRandom(total * headSize);
      const starts = prompts.flatMap((length, i) => {
        const start = prompts.slice(0, i).reduce((sum, l) => sum + l, 0);
        return new Array<number>(length).fill(start);
      });
      const rows = Uint32Array.from(starts.flatMap((start, row) => [row - start, start, 0, 0]));
      const keys = storeElements(element, normalValues(random, kvHeads * capacity * headSize));
      const values = storeElements(element, normalValues(random, kvHeads * capacity * headSize));
      const firstRow = Math.min(7, total - 1);
      const count = total - firstRow;
      const q = normalValues(random, count * queryHeads * headSize, 2);
      const outStride = queryHeads * headSize + 8;
      const kernel = generate(variant);
      const shape = { kernel, queryHeads, headSize, firstRow, count, capacity, outStride };
      const results = await runKernel(
        gpu,
        kernel,
        prefillAttentionDispatch(shape),
        [q, keys, values, rows, new Float32Array(count * outStride)],
      );
      const output = new Float32Array(results[4]);
      for (let m = 0; m < count; m++) {
        const row = firstRow + m;
        const seen = Array.from({ length: row - starts[row] + 1 }, (_, i) => starts[row] + i);
        for (let head = 0; head < queryHeads; head++) {
          const kvHead = Math.floor(head / (queryHeads / kvHeads));
          const at = (r: number, d: number) => (kvHead * capacity + r) * headSize + d;
          const query = q.subarray((m * queryHeads + head) * headSize, (m * queryHeads + head + 1) * headSize);
          const expected = attend(query, seen, (r, d) => keys[at(r, d)], (r, d) => values[at(r, d)]);
          for (let d = 0; d < headSize; d++) {
            const actual = output[m * outStride + head * headSize + d];
            assert.ok(
              Math.abs(actual - expected[d]) <= TOLERANCE,
              `row ${row} head ${head}: ${actual}, ${expected[d]}`,
            );
          }
        }
      }
    }
  }
}

Deno.test("prefill attention is causal within each of several packed prompts", async () => {
  await checkPrefillAttention(await testGpu(), prefillAttentionKernel);
});

Deno.test("prefill attention of subgroups is causal within each of several packed prompts", async (t) => {
  const gpu = await testGpu();
  await t.step({
    name: `subgroups of ${LANES}`,
    ignore: gpu.subgroupSize !== LANES,
    fn: () => checkPrefillAttention(gpu, subgroupPrefillAttentionKernel),
  });
});

/** Ranked and recent rows of a sequence, before this step's row. */
interface SequenceRows {
  /** One number for all heads, or, where the layer is packed, one for each. */
  readonly ranked: number | readonly number[];
  readonly recent: number;
}

/** Tests both kernels of decode attention, that of subgroups where the adapter's have its number of threads. */
function testDecode(name: string, check: (generate: typeof decodeAttentionKernel) => Promise<void>): void {
  Deno.test(name, async (t) => {
    const { subgroupSize } = await testGpu();
    await t.step("any adapter", () => check(decodeAttentionKernel));
    await t.step({
      name: `subgroups of ${LANES}`,
      ignore: subgroupSize !== LANES,
      fn: () => check(subgroupDecodeAttentionKernel),
    });
  });
}

/** Attention of one step over sequences' pages in random order, against f64 over the rows each head holds. */
async function checkDecode(
  generate: typeof decodeAttentionKernel,
  variant: DecodeAttentionVariant,
  sequences: readonly SequenceRows[],
): Promise<void> {
  const gpu = await testGpu();
  const { element, queryHeads, kvHeads, headSize } = variant;
  const random = seededRandom(headSize + queryHeads);
  const [layers, layer, step] = [2, 1, 3];
  const countMax = sequences.length;
  const tableStride = 64 + HEAD_WORDS * kvHeads;
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);
  const rankedOf = ({ ranked }: SequenceRows, head: number) => typeof ranked === "number" ? ranked : ranked[head];
  const longest = (sequence: SequenceRows) => Math.max(...range(kvHeads).map((head) => rankedOf(sequence, head)));
  const rankedBlocks = (sequence: SequenceRows) =>
    typeof sequence.ranked === "number"
      ? blocksFor(sequence.ranked)
      : Math.ceil(sequence.ranked.reduce((sum, rows) => sum + blocksFor(rows), 0) / kvHeads);
  const blocks = sequences.map((sequence) => rankedBlocks(sequence) + blocksFor(sequence.recent + step + 1));
  const ids = range(blocks.reduce((sum, n) => sum + n, 0));
  for (let i = ids.length - 1; i > 0; i--) {
    const j = randomInteger(random, 0, i);
    [ids[i], ids[j]] = [ids[j], ids[i]];
  }
  const tables = new Uint32Array(countMax * layers * tableStride).fill(0xffffffff);
  const layerRows = new Uint32Array(layers * countMax * 2);
  // Of each sequence and head: where in the arena its rows are, in slots of a row's keys and values.
  const places: number[][][] = [];
  let next = 0;
  sequences.forEach((sequence, m) => {
    const { ranked, recent } = sequence;
    const table = ids.slice(next, next + blocks[m]);
    const offset = (m * layers + layer) * tableStride;
    tables.set(table, offset);
    next += blocks[m];
    const isPacked = typeof ranked !== "number";
    layerRows.set([isPacked ? PACKED | rankedBlocks(sequence) : ranked, recent], (layer * countMax + m) * 2);
    let firstSlot = 0;
    places.push(
      range(kvHeads).map((head) => {
        const rows = rankedOf(sequence, head);
        const first = firstSlot;
        if (isPacked) {
          tables.set([first, rows], offset + tableStride - HEAD_WORDS * (kvHeads - head));
          firstSlot += blocksFor(rows);
        }
        const place = (slot: number, row: number) =>
          (table[Math.floor(slot / kvHeads)] * kvHeads + slot % kvHeads) * 2 * BLOCK_ROWS + row % BLOCK_ROWS;
        return [
          ...range(rows).map((r) =>
            place(isPacked ? first + Math.floor(r / BLOCK_ROWS) : Math.floor(r / BLOCK_ROWS) * kvHeads + head, r)
          ),
          ...range(recent + step + 1).map((r) =>
            place((rankedBlocks(sequence) + Math.floor(r / BLOCK_ROWS)) * kvHeads + head, r)
          ),
        ];
      }),
    );
  });
  // What lies where no row is must not matter, not even when it is no number.
  const arenaValues = new Float32Array(ids.length * BLOCK_ROWS * kvHeads * headSize * 2).fill(NaN);
  for (const place of places.flat(2)) {
    for (const row of [place, place + BLOCK_ROWS]) arenaValues.set(normalValues(random, headSize), row * headSize);
  }
  const arena = storeElements(element, arenaValues);
  const q = normalValues(random, countMax * queryHeads * headSize, 2);
  const rows = Uint32Array.from(sequences.flatMap((_, m) => [m, 0, m * layers * tableStride, 0]));
  const outStride = queryHeads * headSize + 4;
  const most = Math.max(...sequences.map((sequence) => longest(sequence) + sequence.recent + step + 1));
  const shape = {
    queryHeads,
    kvHeads,
    headSize,
    layer,
    step,
    firstRow: 0,
    count: countMax,
    countMax,
    tableStride,
    outStride,
    splits: Math.ceil(most / SPLIT_ROWS),
  };
  const { split, merge } = decodeAttentionDispatches(shape);
  const partial = await runKernel(
    gpu,
    generate(variant),
    split,
    [
      q,
      rows,
      layerRows,
      tables,
      arena,
      new Float32Array(countMax * queryHeads * shape.splits * headSize).fill(NaN),
      new Float32Array(countMax * queryHeads * shape.splits * 2),
      new Float32Array(countMax * outStride),
    ],
  );
  const merged = merge === null ? [partial[5], partial[6], partial[7]] : await runKernel(
    gpu,
    mergeSplitsKernel(variant),
    merge,
    [new Float32Array(partial[5]), new Float32Array(partial[6]), new Float32Array(partial[7])],
  );
  const output = new Float32Array(merged[2]);
  const stored = loadElements(element, arena.buffer);
  sequences.forEach((_, m) => {
    for (let head = 0; head < queryHeads; head++) {
      const kvHead = Math.floor(head / (queryHeads / kvHeads));
      const query = q.subarray((m * queryHeads + head) * headSize, (m * queryHeads + head + 1) * headSize);
      const expected = attend(
        query,
        places[m][kvHead],
        (place, d) => stored[place * headSize + d],
        (place, d) => stored[(place + BLOCK_ROWS) * headSize + d],
      );
      for (let d = 0; d < headSize; d++) {
        const actual = output[m * outStride + head * headSize + d];
        assert.ok(Math.abs(actual - expected[d]) <= TOLERANCE, `sequence ${m} head ${head}: ${actual}, ${expected[d]}`);
      }
    }
  });
}

testDecode(
  "decode attention reads ranked and recent rows through the block table, over any number of splits",
  async (generate) => {
    const step = 3;
    for (const variant of SHAPES) {
      // One block's hole, none, exactly one split, several.
      const lengths = [[0, 0], [5, 20], [32, 1], [250, 2], [0, SPLIT_ROWS - step - 1], [0, SPLIT_ROWS - step], [
        601,
        33,
      ]];
      await checkDecode(generate, variant, lengths.map(([ranked, recent]) => ({ ranked, recent })));
    }
  },
);

testDecode(
  "decode attention reads heads with different numbers of rows, beside sequences whose heads have the same",
  async (generate) => {
    const random = seededRandom(8);
    const shapes: DecodeAttentionVariant[] = [
      { element: "f32", queryHeads: 2, kvHeads: 2, headSize: 8 },
      { element: "f16", queryHeads: 6, kvHeads: 3, headSize: 24 },
      { element: "f32", queryHeads: 5, kvHeads: 5, headSize: 16 },
      { element: "f16", queryHeads: 14, kvHeads: 2, headSize: 64 },
    ];
    for (const variant of shapes) {
      const { kvHeads } = variant;
      const only = (rows: number, head: number) => Array.from({ length: kvHeads }, (_, h) => h === head ? rows : 0);
      const several: SequenceRows[] = [
        { ranked: only(300, 0), recent: 3 },
        { ranked: only(1, kvHeads - 1), recent: 0 },
        { ranked: 20, recent: 5 },
        ...Array.from({ length: 4 }, () => ({
          ranked: Array.from({ length: kvHeads }, () => randomInteger(random, 0, random() < 0.5 ? 40 : 300)),
          recent: randomInteger(random, 0, 40),
        })),
      ];
      await checkDecode(generate, variant, several);
      await checkDecode(generate, variant, [{ ranked: only(17, 0), recent: 2 }]);
    }
  },
);

testDecode("decode attention with a single split writes the result itself", async (generate) => {
  const gpu = await testGpu();
  const variant: DecodeAttentionVariant = { element: "f32", queryHeads: 2, kvHeads: 1, headSize: 8 };
  const random = seededRandom(4);
  const arena = normalValues(random, BLOCK_ROWS * 8 * 2);
  const q = normalValues(random, 16);
  const { split, merge } = decodeAttentionDispatches({
    ...variant,
    layer: 0,
    step: 0,
    firstRow: 0,
    count: 1,
    countMax: 1,
    tableStride: 1,
    splits: 1,
    outStride: 16,
  });
  assert.equal(merge, null);
  const results = await runKernel(
    gpu,
    generate(variant),
    split,
    [
      q,
      new Uint32Array(4),
      Uint32Array.of(0, 2),
      Uint32Array.of(0),
      arena,
      new Float32Array(16),
      new Float32Array(4),
      new Float32Array(16),
    ],
  );
  const output = new Float32Array(results[7]);
  for (let head = 0; head < 2; head++) {
    const expected = attend(
      q.subarray(head * 8, head * 8 + 8),
      [0, 1, 2],
      (row, d) => arena[row * 8 + d],
      (row, d) => arena[(BLOCK_ROWS + row) * 8 + d],
    );
    for (let d = 0; d < 8; d++) assert.ok(Math.abs(output[head * 8 + d] - expected[d]) <= TOLERANCE);
  }
});
