import assert from "node:assert/strict";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { LEAST_LOGIT, MASKED_LOGIT, tokenMask, tokenMaskDispatch } from "../../../src/kernels/sampling/token_mask.ts";
import { limited } from "../../support/sampling_reference.ts";

Deno.test("tokenMask() leaves the logits that may come, of the rows that it is to mask, and nothing above the others", async () => {
  const random = seededRandom(1);
  for (const vocabulary of [7, 1000, 1100]) {
    const stride = Math.ceil(vocabulary / 32) * 32;
    const words = stride / 32;
    const slots = Uint32Array.from([3, 1, 0, 4, 2]);
    const masks = Uint32Array.from({ length: slots.length * words }, () => random() * 2 ** 32);
    const logits = normalValues(random, slots.length * stride, 3);
    // The first row's first tokens are what a broken model computes.
    logits.set([NaN, Infinity, -Infinity, -3e38, 3e38], stride);
    masks[slots[1] * words] = 0b11111;
    const [, , bytes] = await runKernel(
      await testGpu(),
      tokenMask,
      tokenMaskDispatch({ firstRow: 1, rows: 3, stride }),
      [slots, masks, Float32Array.from(logits)],
    );
    const masked = new Float32Array(bytes);
    for (let row = 0; row < slots.length; row++) {
      for (let token = 0; token < vocabulary; token++) {
        const at = row * stride + token;
        const isAllowed = (masks[slots[row] * words + (token >> 5)] >>> (token & 31)) & 1;
        const expected = row === 0 || row === 4
          ? logits[at]
          : isAllowed
          ? Math.fround(Math.max(Number.isNaN(logits[at]) ? -Infinity : logits[at], LEAST_LOGIT))
          : Math.fround(MASKED_LOGIT);
        assert.equal(masked[at], expected, `row ${row}, token ${token} of ${vocabulary}`);
      }
    }
  }
  // As the kernels behind it see them, whatever may come is above what may not.
  assert.ok(limited(Math.fround(LEAST_LOGIT)) > limited(Math.fround(MASKED_LOGIT)));
});
