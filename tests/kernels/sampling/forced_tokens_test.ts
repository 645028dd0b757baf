import assert from "node:assert/strict";
import { GREEDY } from "../../../src/contract/sampling.ts";
import { forcedTokens, forcedTokensDispatch } from "../../../src/kernels/sampling/forced_tokens.ts";
import { encodeSampling, RESULT_WORDS, SAMPLING_BYTES } from "../../../src/kernels/sampling/sampling_record.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomInteger, seededRandom } from "../../../fixtures/random.ts";

Deno.test("forcedTokens() replaces drawn tokens where some are given, and moves their counts", async () => {
  const random = seededRandom(1);
  const maxRows = 70;
  const [positions, stride] = [9, 32];
  for (const rowCount of [1, 67]) {
    for (const step of [0, 3]) {
      const slots = Array.from({ length: maxRows }, (_, i) => (i * 37) % maxRows);
      const rows = new Uint32Array(maxRows * 4);
      const results = new Uint32Array(4 * maxRows * RESULT_WORDS);
      const sampling = new Uint32Array(maxRows * SAMPLING_BYTES / 4);
      const continuations = Uint32Array.from({ length: maxRows * positions }, () => randomInteger(random, 0, 31));
      const tokens = new Uint32Array(maxRows);
      const counts = new Uint32Array(maxRows * stride).fill(5);
      slots.forEach((slot, row) => {
        rows.set([slot, row % 5, 0, row % 6], row * 4);
        const drawn = randomInteger(random, 0, 31);
        results[(step * maxRows + row) * RESULT_WORDS] = drawn;
        tokens[slot] = drawn;
        const settings = row % 2 === 0 ? GREEDY : { ...GREEDY, presencePenalty: 1 };
        sampling.set(encodeSampling(settings), slot * SAMPLING_BYTES / 4);
      });
      const expectedTokens = tokens.slice();
      const expectedCounts = counts.slice();
      for (let row = 0; row < rowCount; row++) {
        if (step >= row % 6) continue;
        const slot = slots[row];
        const given = continuations[slot * positions + row % 5 + step + 1];
        if (row % 2 === 1) {
          expectedCounts[slot * stride + tokens[slot]]--;
          expectedCounts[slot * stride + given]++;
        }
        expectedTokens[slot] = given;
      }
      const buffers = await runKernel(
        await testGpu(),
        forcedTokens,
        forcedTokensDispatch({ rows: rowCount, positions, stride, step, maxRows }),
        [rows, continuations, sampling, results, tokens, counts],
      );
      assert.deepEqual(new Uint32Array(buffers[4]), expectedTokens);
      assert.deepEqual(new Uint32Array(buffers[5]), expectedCounts);
    }
  }
});
