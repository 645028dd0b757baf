/** @file Attention of tiles of a prompt against f64 arithmetic. */
import assert from "node:assert/strict";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { Crew } from "../../src/cpu/kernels/crew.ts";
import { tileScratchBytes } from "../../src/cpu/kernels/tile_attention.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { TileAttention } from "../../src/cpu/tile_attention.ts";
import { softmax } from "../support/reference_forward.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);

/** Head size, query heads of a KV head, KV heads. */
const SHAPES = [[8, 1, 1], [16, 3, 2], [64, 3, 3], [128, 8, 1], [256, 1, 2], [72, 2, 1]] as const;
/** Rows of the tile, and rows that its first one sees. */
const TILES = [[1, 1], [1, 200], [5, 1], [33, 60], [64, 64], [100, 7], [31, 65], [70, 480], [1, 513], [
  35,
  1022,
]] as const;

for (const [headSize, group, kvHeads] of SHAPES) {
  Deno.test(`attention of tiles with ${kvHeads} x ${group} heads of ${headSize} is that of exact arithmetic`, async () => {
    const crew = await Crew.start(runtime, threadsBeside(1), tileScratchBytes(group, headSize));
    await allJoined(crew, 1);
    const config = { headSize, kvHeadCount: kvHeads, queryHeadCount: kvHeads * group };
    const attention = new TileAttention(runtime, config, crew);
    const random = seededRandom(headSize + group);
    const querySize = kvHeads * group * headSize;
    const [queryStride, outputStride] = [querySize + 12, querySize + 4];
    for (const [count, seen] of TILES) {
      const rows = seen + count - 1;
      const place = (length: number, gain: number) => {
        const floats = runtime.floats(length);
        floats.values.set(normalValues(random, length).map((value) => value * gain));
        return floats;
      };
      // Sharp attention: large logits, and a maximum that moves.
      const queries = place(count * queryStride, 4);
      const keys = place(kvHeads * rows * headSize, 1);
      const values = place(kvHeads * rows * headSize, 1);
      const outputs = runtime.floats(count * outputStride + 1);
      outputs.values.fill(-7);
      const chunkSums = runtime.floats(count * kvHeads * group * 2);
      attention.run({
        queries: queries.address,
        queryStride: queryStride * 4,
        outputs: outputs.address,
        outputStride: outputStride * 4,
        count,
        seen,
        keys: keys.address,
        values: values.address,
        headStride: rows * headSize * 4,
        chunkSums: chunkSums.address,
      });
      for (let row = 0; row < count; row++) {
        for (let head = 0; head < kvHeads * group; head++) {
          const kv = Math.floor(head / group) * rows * headSize;
          const query = queries.values.subarray(row * queryStride + head * headSize);
          const logits = Array.from({ length: seen + row }, (_, key) => {
            let dot = 0;
            for (let d = 0; d < headSize; d++) dot += query[d] * keys.values[kv + key * headSize + d];
            return dot / Math.sqrt(headSize);
          });
          const ofChunk = logits.slice(Math.floor((seen + row - 1) / 512) * 512);
          const most = Math.max(...ofChunk);
          const sum = ofChunk.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
          const at = 2 * (row * kvHeads * group + head);
          const [actualMost, actualSum] = chunkSums.values.subarray(at, at + 2);
          assert.ok(Math.abs(actualMost - most) < 3e-5, `row ${row}, head ${head}: maximum ${actualMost}, not ${most}`);
          assert.ok(Math.abs(actualSum / sum - 1) < 3e-5, `row ${row}, head ${head}: sum ${actualSum}, not ${sum}`);
          const weights = softmax(logits);
          for (let d = 0; d < headSize; d++) {
            let expected = 0;
            weights.forEach((weight, key) => expected += weight * values.values[kv + key * headSize + d]);
            const error = Math.abs(outputs.values[row * outputStride + head * headSize + d] - expected);
            // Logits of up to some dozens carry the rounding of f32 into the exponentials.
            assert.ok(error < 3e-5, `${count} rows that see ${seen}: row ${row}, head ${head}, ${d}: off by ${error}`);
          }
        }
        for (let i = querySize; i < outputStride; i++) {
          assert.equal(outputs.values[row * outputStride + i], -7, "nothing is written beside the heads");
        }
      }
      assert.equal(outputs.values[count * outputStride], -7, "nothing is written behind the last row");
      for (const floats of [queries, keys, values, outputs, chunkSums]) runtime.free(floats);
    }
    crew.close();
  });
}

Deno.test("what a row attends to does not hang on where its tile begins, to the last bit", async () => {
  const [headSize, rows] = [64, 650];
  const crew = await Crew.start(runtime, threadsBeside(1), tileScratchBytes(1, headSize));
  await allJoined(crew, 1);
  const config = { headSize, kvHeadCount: 1, queryHeadCount: 1 };
  const attention = new TileAttention(runtime, config, crew);
  const random = seededRandom(11);
  const [queries, keys, values] = Array.from({ length: 3 }, () => {
    const floats = runtime.floats(rows * headSize);
    floats.values.set(normalValues(random, rows * headSize));
    return floats;
  });
  const outputs = runtime.floats(rows * headSize);
  const chunkSums = runtime.floats(rows * 2);
  const run = (tiles: readonly number[]) => {
    let first = 0;
    for (const count of tiles) {
      attention.run({
        queries: queries.address + first * headSize * 4,
        queryStride: headSize * 4,
        outputs: outputs.address + first * headSize * 4,
        outputStride: headSize * 4,
        count,
        seen: first + 1,
        keys: keys.address,
        values: values.address,
        headStride: rows * headSize * 4,
        chunkSums: chunkSums.address + first * 8,
      });
      first += count;
    }
    return [...outputs.values, ...chunkSums.values];
  };
  const whole = run([650]);
  assert.deepEqual(run([7, 64, 1, 428, 150]), whole);
  assert.deepEqual(run([256, 256, 32, 32, 22, 52]), whole);
  crew.close();
});
