import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import { LAYER_RECORD_WORDS, STATISTICS_WORD } from "../../src/scores/layer_record.ts";
import { BIN_COUNT, histogramOf } from "../../src/scores/score_histogram.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { MOST_MOVES } from "../../src/kernels/scoring/move_slots.ts";
import { REACH, SINKS } from "../../src/kernels/scoring/read_ahead.ts";
import { MAX_WINDOW } from "../../src/scores/limits.ts";
import { Compressor } from "../../src/compression/compressor.ts";
import type { SegmentScoring } from "../../src/compression/scoring_work.ts";
import { PREFILL_TILE_ROWS } from "../../src/model/dimensions.ts";
import {
  attention,
  attentionOfAll,
  keyDifference,
  keyNorm,
  lookUp,
  pool,
  readAhead,
  recency,
  type Score,
  sharedByHeads,
  valueNorm,
} from "../../src/policy/mod.ts";
import { windowOf } from "../../src/policy/steps.ts";
import { readBuffer, testGpu } from "../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import {
  referenceAttentionSums,
  referenceGroupMaxima,
  referenceKeyDifferences,
  referenceKeyNorms,
  referenceLookups,
  referencePool,
  referencePooledMaxima,
  referenceReadAhead,
  referenceTop,
  referenceValueNorms,
  referenceWindowMoments,
  referenceWindowScores,
} from "../support/scores.ts";

const EMPTY = -7;

/** How many rows of a segment are kept and where they go. */
interface Placement {
  readonly count: number;
  readonly arena: number;
  readonly ranked: number[];
  readonly recent: number[];
}

/** A compressor over random keys, values and window queries, with arenas full of EMPTY. */
async function fixture(seed: number, options: { element: "f16" | "f32"; capacity: number; arenaBlocks: number[] }) {
  const gpu = await testGpu();
  const random = seededRandom(seed);
  const { element, capacity, arenaBlocks } = options;
  const [kvHeadCount, queryHeadCount, headSize, segments] = [2, 6, 24, 3];
  const rows = kvHeadCount * capacity * headSize;
  const keys = kvArray(element, normalValues(random, rows));
  const values = kvArray(element, normalValues(random, rows));
  const windowQueries = normalValues(random, segments * MAX_WINDOW * queryHeadCount * headSize, 2);
  const buffers = {
    keys: gpu.upload("keys", keys),
    values: gpu.upload("values", values),
    windowQueries: gpu.upload("window queries", windowQueries),
    tileQueries: gpu.createBuffer("tile queries", PREFILL_TILE_ROWS * queryHeadCount * headSize * 4),
    layerRecords: gpu.createBuffer("layer records", segments * LAYER_RECORD_WORDS * 4),
    table: gpu.createBuffer("table", 256 * 4),
  };
  const bytesBefore = gpu.bytes;
  const compressor = new Compressor(gpu, { kvHeadCount, queryHeadCount, headSize, element, capacity }, buffers);
  const blockElements = kvHeadCount * 2 * BLOCK_ROWS * headSize;
  const arenas = arenaBlocks.map((blocks) =>
    gpu.upload("arena", kvArray(element, new Float32Array(blocks * blockElements).fill(EMPTY)))
  );
  arenas.forEach((arena, index) => assert.equal(compressor.addArena(arena), index));

  /** Puts the rows that one head has in a list of blocks into `expected`, an arena's contents. */
  const place = (
    expected: ReturnType<typeof kvArray>,
    head: number,
    blocks: readonly number[],
    positions: readonly number[],
  ) =>
    positions.forEach((position, row) => {
      const source = (head * capacity + position) * headSize;
      [keys, values].forEach((from, plane) => {
        const block = blocks[Math.floor(row / BLOCK_ROWS)];
        const target = ((block * kvHeadCount + head) * 2 + plane) * BLOCK_ROWS + row % BLOCK_ROWS;
        expected.set(from.subarray(source, source + headSize), target * headSize);
      });
    });

  return {
    gpu,
    compressor,
    arenas,
    buffers,
    keys,
    values,
    windowQueries,
    dims: { kvHeadCount, queryHeadCount, headSize, capacity, maxWindow: MAX_WINDOW },
    emptyArena: (index: number) => kvArray(element, new Float32Array(arenaBlocks[index] * blockElements).fill(EMPTY)),
    place,
    free: () => {
      for (const arena of arenas) gpu.destroyBuffer(arena);
      compressor.destroy();
      assert.equal(gpu.bytes, bytesBefore);
      for (const buffer of Object.values(buffers)) gpu.destroyBuffer(buffer);
    },
  };
}

Deno.test("Compressor scores, ranks and gathers every segment of a pack in one submit", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(1, { element, capacity: 420, arenaBlocks: [12, 14] });
    const { gpu, compressor, buffers, dims } = test;
    const segments: (SegmentScoring & Placement & { window: number; width: number; by: "average" | "maximum" })[] = [
      {
        segmentIndex: 0,
        start: 0,
        length: 50,
        window: 8,
        width: 7,
        by: "average",
        recordOffset: 0,
        count: 37,
        arena: 0,
        ranked: [9, 3, 4],
        recent: [11],
      },
      {
        segmentIndex: 1,
        start: 50,
        length: 33,
        window: 32,
        width: 1,
        by: "average",
        recordOffset: LAYER_RECORD_WORDS,
        count: 1,
        arena: 1,
        ranked: [0],
        recent: [5, 2],
      },
      {
        segmentIndex: 2,
        start: 90,
        length: 320,
        window: 1,
        width: 5,
        by: "maximum",
        recordOffset: 2 * LAYER_RECORD_WORDS,
        count: 100,
        arena: 1,
        ranked: [7, 8, 13, 12, 6, 1, 4],
        recent: [10],
      },
    ];
    const entries = segments.flatMap(({ ranked, recent }) => [...ranked, ...recent]);
    gpu.device.queue.writeBuffer(buffers.table, 0, Uint32Array.from(entries));

    // The scratch is used again by the next segment: keep what each segment's ranking saw.
    const seen = segments.map(() => gpu.createBuffer("seen scores", compressor.scores.size));
    const recorder = new Recorder(gpu);
    const record = () => {
      let tableOffset = 0;
      segments.forEach((segment, index) => {
        const { arena, start, length, window, width, by, count, ranked, recent } = segment;
        compressor.scoreSegment(recorder, segment, [attention({ window }), pool({ width, by })]);
        compressor.rankSegment(recorder, { length, window, count });
        compressor.gatherRanked(recorder, arena, { start, count, tableOffset });
        tableOffset += ranked.length;
        compressor.gatherRange(recorder, arena, { start: start + length - window, count: window, tableOffset });
        tableOffset += recent.length;
        recorder.copy(compressor.scores, 0, seen[index], 0, compressor.scores.size);
      });
      recorder.submit();
    };
    record();
    gpu.write(buffers.layerRecords, 0, new Uint32Array(buffers.layerRecords.size / 4));
    const before = { ...gpu.counters };
    record();
    assert.deepEqual(
      gpu.counters,
      before,
      "what steps need is created when they are first used, and nothing after that",
    );

    const expectedArenas = [test.emptyArena(0), test.emptyArena(1)];
    const histograms = new Uint32Array(await readBuffer(gpu, buffers.layerRecords));
    for (const [index, segment] of segments.entries()) {
      const { arena, start, length, window, width, by, count, ranked, recent, recordOffset } = segment;
      const pooled = new Float32Array(await readBuffer(gpu, seen[index]));
      const scores = referenceWindowScores(dims, segment, test.keys, test.windowQueries);
      const counted: number[] = [];
      for (let head = 0; head < dims.kvHeadCount; head++) {
        const actual = pooled.subarray(head * dims.capacity, head * dims.capacity + length - window);
        const expected = referencePool(scores[head], width, by);
        // As for the window scores (tests/kernels/scoring/window_scores_test.ts), plus the roundings of the average.
        expected.forEach((score, j) => assert.ok(Math.abs(actual[j] - score) <= 4e-5 * score, `row ${j}`));
        counted.push(...actual);
        const best = referenceTop(actual, count);
        test.place(expectedArenas[arena], head, ranked, best.map((j) => start + j));
        const recentRows = Array.from({ length: window }, (_, i) => start + length - window + i);
        test.place(expectedArenas[arena], head, recent, recentRows);
      }
      assert.deepEqual(histograms.subarray(recordOffset, recordOffset + BIN_COUNT), histogramOf(counted));
      gpu.destroyBuffer(seen[index]);
    }
    for (const [index, arena] of test.arenas.entries()) {
      assert.deepEqual(readKv(element, await readBuffer(gpu, arena)), expectedArenas[index], `arena ${index}`);
    }
    test.free();
  }
});

type Fixture = Awaited<ReturnType<typeof fixture>>;

/** Scores a segment and checks its scores against a reference, and its histogram against its scores. */
async function checkScores(
  { gpu, compressor, buffers, dims }: Fixture,
  segment: SegmentScoring,
  score: Score,
  expected: readonly ArrayLike<number>[],
  tolerance: (score: number) => number,
): Promise<void> {
  gpu.device.queue.writeBuffer(buffers.layerRecords, 0, new Uint32Array(buffers.layerRecords.size / 4));
  const recorder = new Recorder(gpu);
  compressor.scoreSegment(recorder, segment, score);
  recorder.submit();
  const scores = new Float32Array(await readBuffer(gpu, compressor.scores));
  const counted: number[] = [];
  const scored = segment.length - windowOf(score);
  for (let head = 0; head < dims.kvHeadCount; head++) {
    for (let j = 0; j < scored; j++) {
      const actual = scores[head * dims.capacity + j];
      const wanted = expected[head][j];
      assert.ok(Math.abs(actual - wanted) <= tolerance(wanted), `${score[0].name}, head ${head}, row ${j}: ${actual}`);
      counted.push(actual);
    }
  }
  const histogram = new Uint32Array(await readBuffer(gpu, buffers.layerRecords));
  const { recordOffset } = segment;
  assert.deepEqual(histogram.subarray(recordOffset, recordOffset + BIN_COUNT), histogramOf(counted));
}

Deno.test("Compressor scores by keys, by position and by the mean of all heads as an f64 reference does", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(4, { element, capacity: 420, arenaBlocks: [] });
    const { dims, keys, gpu } = test;
    const segments: SegmentScoring[] = [
      { segmentIndex: 1, start: 50, length: 300, recordOffset: LAYER_RECORD_WORDS },
      { segmentIndex: 0, start: 3, length: 9, recordOffset: 0 },
    ];
    const score = async (segment: SegmentScoring) => {
      const { length } = segment;
      const norms = referenceKeyNorms(dims, segment, keys);
      await checkScores(test, segment, [keyNorm({ window: 8 })], norms, (score) => 3e-6 * score);
      const differences = referenceKeyDifferences(dims, segment, keys);
      await checkScores(test, segment, [keyDifference({ window: 8 })], differences, () => 2e-5);
      const late = Array.from({ length }, (_, j) => j < 2 ? 2 - j / length : (j + 1) / length);
      await checkScores(
        test,
        segment,
        [recency({ window: 1, sinks: 2 })],
        norms.map(() => late),
        (score) => 2e-7 * score,
      );
      const own = referenceWindowScores(dims, { ...segment, window: 1 }, keys, test.windowQueries);
      const mean = own[0].map((score, j) => (score + own[1][j]) / 2);
      const tova = [attention({ window: 1 }), sharedByHeads()];
      await checkScores(test, segment, tova, [mean, mean], (score) => 4e-5 * score);
    };
    await score(segments[0]);
    const counters = { ...gpu.counters };
    await score(segments[1]);
    counters.buffers = gpu.counters.buffers; // the test's own, for reading back
    assert.deepEqual(gpu.counters, counters, "what a step needs is created when it is first used");
    test.free();
  }
});

Deno.test("Compressor sums the attention of all rows, tile by tile, over several prompts and layers", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(5, { element, capacity: 460, arenaBlocks: [] });
    const { gpu, compressor, buffers, dims, keys } = test;
    const queryWidth = dims.queryHeadCount * dims.headSize;
    const prompts = [{ start: 0, length: 50 }, { start: 50, length: 333 }, { start: 383, length: 70 }];
    const random = seededRandom(6);
    // The second layer finds the sums of the first.
    for (let layer = 0; layer < 2; layer++) {
      const queries = normalValues(random, 453 * queryWidth, 2);
      for (let row = 0; row < 453; row += PREFILL_TILE_ROWS) {
        const rows = Math.min(PREFILL_TILE_ROWS, 453 - row);
        gpu.write(buffers.tileQueries, 0, queries.subarray(row * queryWidth, (row + rows) * queryWidth));
        const recorder = new Recorder(gpu);
        for (const { start, length } of prompts) {
          const begin = Math.max(row, start);
          const count = Math.min(row + rows, start + length) - begin;
          if (count <= 0) continue;
          compressor.addAttention(recorder, { start, length, first: begin - start, tileRow: begin - row, count });
        }
        recorder.submit();
      }
      for (const prompt of prompts) {
        const { start, length } = prompt;
        const own = queries.subarray(start * queryWidth, (start + length) * queryWidth);
        const expected = referenceAttentionSums(dims, prompt, keys, own);
        const segment = { segmentIndex: 0, start, length, recordOffset: 0 };
        // As for the window scores, plus the roundings of up to 333 additions.
        await checkScores(test, segment, [attentionOfAll({ window: 20 })], expected, (score) => 6e-5 * score);
      }
    }
    test.free();
  }
});

Deno.test("Compressor scores by mean and variance and finds how attention is spread, as in f64", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(7, { element, capacity: 700, arenaBlocks: [] });
    const { gpu, dims, keys, windowQueries, compressor, buffers } = test;
    const statisticsOf = async (offset: number) => {
      const record = await readBuffer(gpu, buffers.layerRecords);
      return [...new Float32Array(record, (offset + STATISTICS_WORD) * 4, 2)];
    };
    for (const [window, length, start] of [[32, 600, 50], [5, 257, 0], [1, 40, 7], [3, 4, 1]]) {
      const segment = { segmentIndex: 1, start, length, recordOffset: LAYER_RECORD_WORDS };
      const { scores, entropy, variance } = referenceWindowMoments(
        dims,
        { ...segment, window },
        keys,
        windowQueries,
        200,
      );
      const cake = [attention({ window, reduce: { varianceWeight: 200 } })];
      // As for the window scores; the variance is a difference of sums, so its error is 1e-6 of the square of the mean.
      const tolerance = (score: number) => 1e-4 * score + 2e-6 * 200 * score ** 2;
      await checkScores(test, segment, cake, scores, tolerance);
      assert.deepEqual(await statisticsOf(LAYER_RECORD_WORDS), [0, 0], "nobody asked");

      const plain = [attention({ window })];
      const sums = referenceWindowScores(dims, { ...segment, window }, keys, windowQueries);
      for (const other of [cake, plain, [keyNorm({ window })]]) {
        const recorder = new Recorder(gpu);
        compressor.scoreSegment(recorder, segment, other, true);
        recorder.submit();
        const [actualEntropy, actualVariance] = await statisticsOf(LAYER_RECORD_WORDS);
        assert.ok(Math.abs(actualEntropy - entropy) <= 1e-4 * entropy, `${actualEntropy}, expected ${entropy}`);
        assert.ok(Math.abs(actualVariance - variance) <= 1e-3 * variance, `${actualVariance}, expected ${variance}`);
        if (other !== plain) continue;
        const actual = new Float32Array(await readBuffer(gpu, compressor.scores));
        sums[0].forEach((score, j) => assert.ok(Math.abs(actual[j] - score) <= 4e-5 * score, `row ${j}`));
      }
    }
    test.free();
  }
});

Deno.test("Compressor weighs scores by values and takes the maximum of a group, as an f64 reference does", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(11, { element, capacity: 700, arenaBlocks: [] });
    const { dims, keys, values, windowQueries } = test;
    for (const [window, length, start] of [[32, 600, 50], [5, 257, 0], [3, 4, 1]]) {
      const segment = { segmentIndex: 1, start, length, recordOffset: 0 };
      const prompt = { ...segment, window };
      const norms = referenceValueNorms(dims, prompt, values).map((head) => head.slice(0, length - window));
      const sums = referenceWindowScores(dims, prompt, keys, windowQueries);
      const maxima = referenceGroupMaxima(dims, prompt, keys, windowQueries);
      const sum = attention({ window });
      const maximum = attention({ window, reduce: "group-maximum" });
      const cases: [Score, readonly ArrayLike<number>[]][] = [
        [[sum, valueNorm({ by: "row" })], sums.map((head, h) => head.map((score, j) => score * norms[h][j]))],
        [[sum, valueNorm({ by: "head" })], sums.map((head, h) => head.map((score) => score * Math.max(...norms[h])))],
        [[maximum], maxima],
        [
          [maximum, valueNorm({ by: "head" })],
          maxima.map((head, h) => head.map((score) => score * Math.max(...norms[h]))),
        ],
      ];
      for (const [steps, expected] of cases) {
        // As for the window scores, plus the roundings of a norm.
        await checkScores(test, segment, steps, expected, (score) => 6e-5 * score);
        // Steps do not mind where they stand.
        const pooled = expected.map((head) => referencePool(head, 5, "average"));
        const widest = pooled.map((head) => referencePool(head, 3, "maximum"));
        const twice = [...steps, pool({ width: 5, by: "average" }), pool({ width: 3, by: "maximum" })];
        await checkScores(test, segment, twice, widest, (score) => 6e-5 * score);
      }
    }
    test.free();
  }
});

Deno.test("Compressor takes the maximum of pooled queries and weighs by shares of values, as an f64 reference does", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(14, { element, capacity: 700, arenaBlocks: [] });
    const { gpu, compressor, dims, keys, values, windowQueries } = test;
    // Around one workgroup with the rows within its reach, and prompts of fewer rows than are pooled.
    for (
      const [window, length, start, width] of [[32, 600, 50, 5], [5, 257, 0, 63], [8, 202, 3, 63], [1, 40, 7, 1], [
        3,
        4,
        1,
        5,
      ]]
    ) {
      const segment = { segmentIndex: 1, start, length, recordOffset: 0 };
      const prompt = { ...segment, window };
      const maxima = referencePooledMaxima(dims, prompt, keys, windowQueries, (width - 1) / 2);
      const norms = referenceValueNorms(dims, prompt, values);
      const source = attention({ window, reduce: { pooledMaximum: width } });
      const tolerance = (score: number) => 6e-5 * score;
      await checkScores(test, segment, [source], maxima, tolerance);
      const shares = maxima.map((own, head) =>
        own.map((score, j) => score * norms[head][j] / (norms[0][j] + norms[1][j]))
      );
      await checkScores(test, segment, [source, valueNorm({ by: "share" })], shares, tolerance);
      // Statistics of the attention go with any scores, and do not change them.
      const recorder = new Recorder(gpu);
      compressor.scoreSegment(recorder, segment, [source], true);
      recorder.submit();
      const scores = new Float32Array(await readBuffer(gpu, compressor.scores));
      maxima[1].forEach((wanted, j) =>
        assert.ok(Math.abs(scores[dims.capacity + j] - wanted) <= tolerance(wanted), `row ${j}`)
      );
      const { entropy } = referenceWindowMoments(dims, prompt, keys, windowQueries, 0);
      const [found] = new Float32Array(await readBuffer(gpu, test.buffers.layerRecords), STATISTICS_WORD * 4, 1);
      assert.ok(Math.abs(found - entropy) <= 1e-4 * entropy, `${found}, expected ${entropy}`);
    }
    test.free();
  }
});

Deno.test("Compressor moves any number of slots in the order in which it is told to", async () => {
  const test = await fixture(12, { element: "f16", capacity: 40, arenaBlocks: [9, 12] });
  const { gpu, compressor, arenas, dims } = test;
  const slotElements = 2 * BLOCK_ROWS * dims.headSize;
  const random = seededRandom(13);
  const expected = [9, 12].map((blocks) =>
    kvArray("f16", normalValues(random, blocks * dims.kvHeadCount * slotElements))
  );
  expected.forEach((content, arena) => gpu.write(arenas[arena], 0, content));
  const recorder = new Recorder(gpu);
  const move = (arena: number, moves: readonly [number, number][], times = 1) => {
    const list = Array.from({ length: times }, () => moves).flat(2);
    compressor.moveSlots(recorder, arena, Uint32Array.from(list));
    const content = expected[arena];
    for (const [source, target] of moves) {
      content.set(content.slice(source * slotElements, (source + 1) * slotElements), target * slotElements);
    }
  };
  move(0, [[0, 17], [3, 4]]);
  // More than one dispatch takes, and then what these wrote.
  move(1, [[1, 20], [2, 21], [3, 22], [5, 23]], MOST_MOVES / 3);
  move(1, [[20, 0], [21, 9]]);
  move(0, [[17, 8], [4, 9]]);
  move(0, []);
  recorder.submit();
  move(0, [[9, 1]]);
  recorder.submit();
  for (const [arena, buffer] of arenas.entries()) {
    assert.deepEqual(readKv("f16", await readBuffer(gpu, buffer)), expected[arena], `arena ${arena}`);
  }
  test.free();
});

Deno.test("Compressor reads ahead, and lets the best rows look for others, as in f64", async () => {
  for (const element of ["f32", "f16"] as const) {
    const test = await fixture(9, { element, capacity: 700, arenaBlocks: [] });
    const { gpu, dims, keys, windowQueries, compressor, buffers } = test;
    const queryWidth = dims.queryHeadCount * dims.headSize;
    const queries = normalValues(seededRandom(10), dims.capacity * queryWidth, 2);
    for (let row = 0; row < dims.capacity; row += PREFILL_TILE_ROWS) {
      const rows = Math.min(PREFILL_TILE_ROWS, dims.capacity - row);
      gpu.write(buffers.tileQueries, 0, queries.subarray(row * queryWidth, (row + rows) * queryWidth));
      const recorder = new Recorder(gpu);
      compressor.keepQueries(recorder, row, rows);
      recorder.submit();
    }
    const cases = [
      { window: 8, length: 600, start: 50, lookups: 16, decay: 0.9 },
      { window: 5, length: 257, start: 0, lookups: 64, decay: 0.5 },
      { window: 1, length: 40, start: 7, lookups: 1, decay: 0.9 },
      { window: 4, length: 270, start: 1, lookups: 0, decay: 0.9 },
      // Fewer rows than lookups: the last of them is left to be found.
      { window: 3, length: 9, start: 30, lookups: 32, decay: 0.9 },
      { window: 1, length: 2, start: 30, lookups: 32, decay: 0.9 },
    ];
    for (const { window, length, start, lookups, decay } of cases) {
      const segment = { segmentIndex: 1, start, length, recordOffset: LAYER_RECORD_WORDS };
      const scored = length - window;
      const scores = referenceWindowScores(dims, { ...segment, window }, keys, windowQueries);
      const found = referenceLookups(
        dims,
        { start, scored, lookups: Math.min(lookups, scored - 1), sinks: SINKS },
        keys,
        queries.subarray(start * queryWidth),
        scores.map((head) => referenceReadAhead(head, decay, REACH, SINKS)),
      );
      const expected = scores.map((head, kvHead) =>
        referenceReadAhead(head.map((score, j) => score + found[kvHead][j]), decay, REACH, SINKS)
      );
      const reading = [attention({ window }), lookUp({ best: lookups, decay }), readAhead({ decay })];
      // As for the window scores; a lookup multiplies two numbers that are as exact, and reading ahead adds them up.
      await checkScores(test, segment, reading, expected, (score) => 1e-4 * score);
    }
    test.free();
  }
});

Deno.test("Compressor ranks rows of equal score by position", async () => {
  const test = await fixture(2, { element: "f32", capacity: 200, arenaBlocks: [] });
  const { gpu, compressor, buffers, dims } = test;
  // Keys that are all alike get the same attention; the average pooling lowers only the three rows at either end.
  gpu.device.queue.writeBuffer(buffers.keys, 0, new Float32Array(test.keys.length).fill(0.5));
  const recorder = new Recorder(gpu);
  const [length, window, count] = [200, 8, 191];
  compressor.scoreSegment(recorder, { segmentIndex: 0, start: 0, length, recordOffset: 0 }, [
    attention({ window }),
    pool({ width: 7, by: "average" }),
  ]);
  compressor.rankSegment(recorder, { length, window, count });
  recorder.submit();
  const scored = length - window;
  const middle = Array.from({ length: scored - 6 }, (_, i) => 3 + i);
  const expected = [...middle, 2, scored - 3, 1, scored - 2, 0];
  const indices = new Uint32Array(await readBuffer(gpu, compressor.indices));
  for (let head = 0; head < dims.kvHeadCount; head++) {
    assert.deepEqual([...indices.subarray(head * dims.capacity, head * dims.capacity + count)], expected);
  }
  test.free();
});

Deno.test("Compressor refuses what it cannot score or rank, saying why", async () => {
  const test = await fixture(3, { element: "f16", capacity: 40, arenaBlocks: [] });
  const recorder = new Recorder(test.gpu);
  const segment: SegmentScoring = { segmentIndex: 0, start: 0, length: 40, recordOffset: 0 };
  const refused = (change: Partial<SegmentScoring>, message: RegExp) =>
    assert.throws(
      () => test.compressor.scoreSegment(recorder, { ...segment, ...change }, [attention({ window: 8 })]),
      message,
    );
  refused({ length: 8 }, /prompt of 8 rows: expected more than the 8 of its window/);
  refused({ start: 1 }, /rows up to 41: the pack holds 40/);
  assert.throws(
    () => test.compressor.rankSegment(recorder, { length: 40, window: 8, count: 33 }),
    /keep 33 ranked rows: only 32 were scored/,
  );
  assert.equal(recorder.dispatches, 0);
  test.free();
});
