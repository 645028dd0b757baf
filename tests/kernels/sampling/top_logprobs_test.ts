import assert from "node:assert/strict";
import { GREEDY } from "../../../src/contract/sampling.ts";
import { decodeResult, encodeSampling, RESULT_WORDS } from "../../../src/kernels/sampling/sampling_record.ts";
import { topLogprobs, topLogprobsDispatch } from "../../../src/kernels/sampling/top_logprobs.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { limited, logSoftmax, ranking } from "../../support/sampling_reference.ts";

const UNTOUCHED = 777;

/** Runs the kernel at step 1 on rows whose slots are in reverse order; returns each row's record. */
async function run(rows: readonly Float32Array[], wanted: readonly (number | undefined)[]) {
  const vocabulary = rows[0].length;
  const stride = Math.ceil(vocabulary / 32) * 32;
  const logits = new Float32Array(rows.length * stride).fill(1e9);
  rows.forEach((row, index) => logits.set(row, index * stride));
  const slots = Uint32Array.from(rows, (_, row) => rows.length - 1 - row);
  const sampling = new Uint32Array(rows.length * 16);
  wanted.forEach((count, row) => sampling.set(encodeSampling(GREEDY, count), slots[row] * 16));
  const [, , , results] = await runKernel(
    await testGpu(),
    topLogprobs(vocabulary),
    topLogprobsDispatch({ rows: rows.length, vocabulary, stride, step: 1, maxRows: rows.length }),
    [logits, slots, sampling, new Uint32Array(2 * rows.length * RESULT_WORDS).fill(UNTOUCHED)],
  );
  const words = new Uint32Array(results);
  assert.ok(words.subarray(0, rows.length * RESULT_WORDS).every((word) => word === UNTOUCHED), "step 0 was written");
  return rows.map((_, row) => words.subarray((rows.length + row) * RESULT_WORDS).slice(0, RESULT_WORDS));
}

Deno.test("topLogprobs() reports the most likely tokens, the lowest id first among equals", async () => {
  const random = seededRandom(1);
  for (const vocabulary of [1, 7, 19, 20, 512, 1000, 2500, 49152]) {
    const ties = Float32Array.from({ length: vocabulary }, () => Math.round(random() * 6));
    const equal = new Float32Array(vocabulary).fill(0.25);
    // The best tokens all in the share of one thread, whose quads are 4 * threads = 128 .. 1,024 tokens apart.
    const crowded = normalValues(random, vocabulary);
    for (let i = 8; i < vocabulary; i += 1024) for (let j = i; j < Math.min(i + 4, vocabulary); j++) crowded[j] += 30;
    const broken = normalValues(random, vocabulary, 4);
    for (let i = 0; i < vocabulary; i += 3) broken[i] = [NaN, -Infinity][i % 2];
    const rows = [normalValues(random, vocabulary, 4), ties, equal, crowded, broken, ties, ties];
    const wanted = [20, 20, 20, 20, 20, 1, 5];
    const records = await run(rows, wanted);
    rows.forEach((logits, row) => {
      const { topLogprobs } = decodeResult(records[row], wanted[row]);
      const expected = ranking(logits).slice(0, wanted[row]);
      assert.deepEqual(topLogprobs!.map(({ id }) => id), expected, `row ${row} of vocabulary ${vocabulary}`);
      const logprobs = logSoftmax(logits);
      for (const { id, logprob } of topLogprobs!) {
        if (limited(logits[id]) === -1e38) continue;
        // Differences of logits up to 40 carry 4e-6; exp and the sum add less.
        assert.ok(Math.abs(logprob - logprobs[id]) < 1e-5, `${logprob} for ${logprobs[id]}`);
      }
    });
  }
});

Deno.test("topLogprobs() leaves the records of rows that ask for none, and the chosen token's words, alone", async () => {
  const logits = normalValues(seededRandom(2), 100);
  const [none, chosenOnly, three] = await run([logits, logits, logits], [undefined, 0, 3]);
  assert.ok(none.every((word) => word === UNTOUCHED));
  assert.ok(chosenOnly.every((word) => word === UNTOUCHED));
  assert.deepEqual([...three.keys()].filter((word) => three[word] !== UNTOUCHED), [2, 3, 4, 5, 6, 7]);
});
