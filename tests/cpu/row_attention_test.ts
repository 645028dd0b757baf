/** @file Attention of single rows against f64 arithmetic. */
import assert from "node:assert/strict";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { Crew } from "../../src/cpu/kernels/crew.ts";
import { ATTENTION_RECORD, ATTENTION_RECORD_WORDS } from "../../src/cpu/kernels/row_attention.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { softmax } from "../support/reference_forward.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);

/** Random floats in the module's memory. */
function place(random: () => number, count: number, gain = 1) {
  const floats = runtime.floats(count);
  floats.values.set(normalValues(random, count).map((value) => gain * value));
  return floats;
}

for (const [headSize, group] of [[8, 1], [16, 3], [64, 3], [128, 8]]) {
  Deno.test(`attention of a row with ${group} heads of ${headSize} is that of exact arithmetic, for any number of rows`, async () => {
    const crew = await Crew.start(runtime, threadsBeside(1));
    await allJoined(crew, 1);
    const random = seededRandom(headSize);
    const lengths = [1, 2, 3, 4, 5, 16, 61, 500];
    const records = runtime.bytes(lengths.length * ATTENTION_RECORD_WORDS * 4);
    const words = new Int32Array(runtime.memory.buffer, records.address, lengths.length * ATTENTION_RECORD_WORDS);
    const heads = lengths.map((rows, i) => {
      // Sharp attention too: large logits.
      const queries = place(random, group * headSize, i % 2 === 0 ? 1 : 8);
      const keys = place(random, rows * headSize);
      const values = place(random, rows * headSize);
      const output = runtime.floats(group * headSize);
      const at = i * ATTENTION_RECORD_WORDS;
      words[at + ATTENTION_RECORD.queries] = queries.address;
      words[at + ATTENTION_RECORD.keys] = keys.address;
      words[at + ATTENTION_RECORD.values] = values.address;
      words[at + ATTENTION_RECORD.rows] = rows;
      words[at + ATTENTION_RECORD.scores] = runtime.floats(rows + 3).address;
      words[at + ATTENTION_RECORD.output] = output.address;
      return { rows, queries: queries.values, keys: keys.values, values: values.values, output: output.values };
    });
    crew.attend(records.address, lengths.length, group, headSize);
    for (const { rows, queries, keys, values, output } of heads) {
      for (let head = 0; head < group; head++) {
        const logits = Array.from({ length: rows }, (_, row) => {
          let dot = 0;
          for (let d = 0; d < headSize; d++) dot += queries[head * headSize + d] * keys[row * headSize + d];
          return dot / Math.sqrt(headSize);
        });
        const weights = softmax(logits);
        for (let d = 0; d < headSize; d++) {
          let expected = 0;
          weights.forEach((weight, row) => expected += weight * values[row * headSize + d]);
          const error = Math.abs(output[head * headSize + d] - expected);
          // Logits of up to some dozens carry the rounding of f32 into the exponentials.
          assert.ok(error < 2e-5, `${rows} rows, head ${head}, element ${d}: off by ${error}`);
        }
      }
    }
    crew.close();
  });
}
