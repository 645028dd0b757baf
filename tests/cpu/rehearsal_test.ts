/** @file Scores of a chunk by its own queries, asked again, against sums written out in f64. */
import assert from "node:assert/strict";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { Crew } from "../../src/cpu/kernels/crew.ts";
import { rehearsalScratchBytes } from "../../src/cpu/kernels/rehearsal.ts";
import { LayerRowsInHeap } from "../../src/cpu/layer_scoring.ts";
import { RehearsalOnCrew } from "../../src/cpu/rehearsal.ts";
import type { Rotary } from "../../src/policy/context.ts";
import { loadCpuModel, runOnCpu, testRuntime } from "../support/cpu.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";

interface Heads {
  readonly headSize: number;
  readonly group: number;
  readonly kvHeads: number;
}

interface Shape extends Heads {
  readonly pairing: Rotary["pairing"];
  /** What queries were multiplied by when they were rotated the first time. */
  readonly lengthened: number;
  readonly positions: number;
}

/** Cosines and sines times a length, `[positions][headSize / 2][2]`. */
function tableOf(frequencies: Float64Array, { positions, headSize, lengthened }: Shape): Float32Array {
  return Float32Array.from({ length: positions * headSize }, (_, i) => {
    const angle = Math.floor(i / headSize) * frequencies[Math.floor(i % headSize / 2)];
    return lengthened * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}

/** A head turned on by some positions. */
function turned(head: ArrayLike<number>, positions: number, { pairing, frequencies }: Rotary): Float64Array {
  const result = new Float64Array(head.length);
  frequencies.forEach((frequency, pair) => {
    const [a, b] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + frequencies.length];
    const angle = positions * frequency;
    result[a] = head[a] * Math.cos(angle) - head[b] * Math.sin(angle);
    result[b] = head[a] * Math.sin(angle) + head[b] * Math.cos(angle);
  });
  return result;
}

/** Logits of a query and the first rows of a chunk. */
function logitsOf(query: ArrayLike<number>, keys: Float32Array, rows: number): number[] {
  const { length } = query;
  return Array.from({ length: rows }, (_, row) => {
    let dot = 0;
    for (let i = 0; i < length; i++) dot += query[i] * keys[row * length + i];
    return dot / Math.sqrt(length);
  });
}

const largest = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b));
const sumOfExponentials = (logits: readonly number[], most: number) =>
  logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);

/** Queries of a chunk, `[row][queryHead][headSize]`, and keys of a KV head, `[row][headSize]`. */
interface Chunk {
  readonly queries: Float32Array;
  readonly keysOf: (head: number) => Float32Array;
}

/** Scores of a chunk by KV head; of `positions`, the last is where no other is left to ask from. */
function expectedScores(
  { queries, keysOf }: Chunk,
  { headSize, group, kvHeads }: Heads,
  rotary: Rotary,
  positions: number,
): Float64Array[] {
  return Array.from({ length: kvHeads }, (_, head) => {
    const keys = keysOf(head);
    const count = keys.length / headSize;
    const place = Math.min(count + 64, positions - 1);
    const scores = new Float64Array(count);
    for (let asking = 0; asking < count; asking++) {
      for (let inGroup = 0; inGroup < group; inGroup++) {
        const at = ((asking * kvHeads + head) * group + inGroup) * headSize;
        const query = queries.subarray(at, at + headSize);
        const again = logitsOf(turned(query, place - asking, rotary), keys, count);
        const all = [...logitsOf(query, keys, asking + 1), ...again];
        const most = largest(all);
        const sum = sumOfExponentials(all, most);
        again.forEach((logit, row) => scores[row] = Math.max(scores[row], Math.exp(logit - most) / sum));
      }
    }
    return scores;
  });
}

/** What the queries saw of their chunk, `[row][queryHead][2]`: see tile_attention.ts. */
function sumsBefore({ queries, keysOf }: Chunk, { headSize, group, kvHeads }: Heads): Float32Array {
  return Float32Array.from({ length: 2 * queries.length / headSize }, (_, i) => {
    const asked = Math.floor(i / 2);
    const query = queries.subarray(asked * headSize, (asked + 1) * headSize);
    const kvHead = Math.floor(asked % (kvHeads * group) / group);
    const before = logitsOf(query, keysOf(kvHead), Math.floor(asked / (kvHeads * group)) + 1);
    const most = largest(before);
    return i % 2 === 0 ? most : sumOfExponentials(before, most);
  });
}

function assertClose(scores: readonly Float32Array[], expected: readonly Float64Array[], what: string): void {
  assert.equal(scores.length, expected.length, what);
  scores.forEach((own, head) => {
    assert.equal(own.length, expected[head].length, what);
    own.forEach((score, row) => {
      const error = Math.abs(score - expected[head][row]);
      // Logits of up to some dozens carry the rounding of f32 into the exponentials.
      assert.ok(error < 5e-5, `${what}: row ${row} of head ${head} is off by ${error}`);
    });
  });
}

const SHAPES: readonly Shape[] = [
  { headSize: 8, group: 1, kvHeads: 1, pairing: "adjacent", lengthened: 1, positions: 2048 },
  { headSize: 32, group: 2, kvHeads: 3, pairing: "adjacent", lengthened: 1.3, positions: 2048 },
  { headSize: 64, group: 3, kvHeads: 2, pairing: "halves", lengthened: 1, positions: 2048 },
  { headSize: 96, group: 1, kvHeads: 2, pairing: "halves", lengthened: 0.7, positions: 600 },
  { headSize: 128, group: 4, kvHeads: 1, pairing: "halves", lengthened: 1.2, positions: 520 },
  // The place behind the chunk has no rotation of its own.
  { headSize: 24, group: 2, kvHeads: 1, pairing: "halves", lengthened: 1, positions: 512 },
  { headSize: 256, group: 1, kvHeads: 1, pairing: "adjacent", lengthened: 1, positions: 2048 },
];

for (const shape of SHAPES) {
  const { headSize, group, kvHeads, pairing, positions } = shape;
  Deno.test(`a chunk asked again by ${kvHeads} x ${group} heads of ${headSize}, their pairs ${pairing}, is scored as by exact arithmetic`, async () => {
    const runtime = await testRuntime();
    const crew = await Crew.start(runtime, threadsBeside(1), rehearsalScratchBytes(headSize));
    await allJoined(crew, 1);
    const random = seededRandom(headSize + group);
    const frequencies = Float64Array.from({ length: headSize / 2 }, (_, pair) => 100 ** (-2 * pair / headSize));
    const sizes = { headSize, kvHeadCount: kvHeads, queryHeadCount: kvHeads * group };
    const rehearsal = new RehearsalOnCrew(runtime, sizes, crew, tableOf(frequencies, shape), pairing);
    // The longest first: what it leaves behind must not show.
    for (const count of [512, 1, 7, 33, 64, 130]) {
      // Sharp attention: large logits.
      const queries = normalValues(random, count * kvHeads * group * headSize, 4);
      const headStride = (count + 5) * headSize;
      const keys = runtime.floats(kvHeads * headStride);
      keys.values.set(normalValues(random, keys.values.length));
      const keysOf = (head: number) => keys.values.subarray(head * headStride, head * headStride + count * headSize);
      const expected = expectedScores({ queries, keysOf }, shape, { frequencies, pairing }, positions);
      for (const sums of [null, sumsBefore({ queries, keysOf }, shape)]) {
        assertClose(rehearsal.run(queries, sums, keys.address, headStride * 4), expected, `${count} rows`);
      }
      runtime.free(keys);
    }
    crew.close();
  });
}

Deno.test("chunks of prompts that are read side by side are scored so, whether or not attention has seen them as they are", async () => {
  const model: TinyModelOptions = {
    architecture: "qwen2",
    headSize: 32,
    context: 1024,
    keyGains: [2, 0.5],
    ropeScaling: { type: "yarn", factor: 2, originalContext: 512, attentionFactor: 1.1, betaFast: 32, betaSlow: 1 },
  };
  const options = { weights: "int8", contextLength: 1024 } as const;
  const cpu = await withFile(tinyGguf(model), (path) => loadCpuModel(path, options));
  const { ropeTable, rotary, querySize } = cpu.forward;
  const chunks: string[] = [];
  const { rehearsed } = LayerRowsInHeap.prototype;
  LayerRowsInHeap.prototype.rehearsed = function (chunk) {
    const scores = rehearsed.call(this, chunk);
    const { layer, length, kvHeadCount: kvHeads, group, headSize, source: { allQueries } } = this;
    const [first, end] = [chunk.first, chunk.first + chunk.count];
    const queries = allQueries!.subarray(first * querySize, end * querySize);
    const keysOf = (head: number) => this.keys(head).subarray(first * headSize, end * headSize);
    const heads = { headSize, group, kvHeads };
    const expected = expectedScores({ queries, keysOf }, heads, rotary, ropeTable.length / headSize);
    chunks.push(`layer ${layer}: ${first} to ${end} of ${length}`);
    assertClose(scores, expected, chunks.at(-1)!);
    return scores;
  };
  try {
    const random = seededRandom(5);
    const kvCache = { policy: "rehearsal", budget: 40 };
    await runOnCpu(cpu, [300, 650].map((length) => request(randomPrompt(random, length), { maxTokens: 1, kvCache })));
  } finally {
    LayerRowsInHeap.prototype.rehearsed = rehearsed;
  }
  const ofPrompts = ["0 to 300 of 300", "0 to 512 of 650", "138 to 650 of 650"];
  assert.deepEqual(chunks, [0, 1].flatMap((layer) => ofPrompts.map((rows) => `layer ${layer}: ${rows}`)));
});
