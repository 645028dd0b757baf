import assert from "node:assert/strict";
import type { ModelConfig } from "../../src/architecture/config.ts";
import { SizeError } from "../../src/contract/errors.ts";
import { checkSizes } from "../../src/serving/check_sizes.ts";

const CONFIG = {
  name: "small",
  layerCount: 2,
  hiddenSize: 64,
  queryHeadCount: 4,
  kvHeadCount: 2,
  headSize: 16,
  feedForwardSize: 128,
  vocabularySize: 100,
  contextLength: 512,
  rope: { dimensions: 16 },
} as unknown as ModelConfig;

/** Keys and values of 2 heads of 16 elements, in 16 rows. */
const BLOCK_ELEMENTS = 2 * 2 * 16 * 16;
/** Two tokens and what a submit may overrun, 32, take three blocks in each of two layers. */
const BLOCKS = 3 * 2;

Deno.test("checkSizes() wants memory for the shortest request, in the elements of the device", () => {
  for (const [device, kvType, bytes] of [["gpu", undefined, 2], ["cpu", undefined, 4], ["gpu", "f32", 4]] as const) {
    const least = BLOCKS * BLOCK_ELEMENTS * bytes;
    checkSizes(CONFIG, { kvMemory: least, kvType, maxBatch: 1 }, device);
    assert.throws(() => checkSizes(CONFIG, { kvMemory: least - 1, kvType, maxBatch: 1 }, device), (error) => {
      assert.ok(error instanceof SizeError);
      assert.match(error.message, new RegExp(`is ${least - 1} bytes: expected at least ${least} \\(\\d+KiB\\)`));
      return true;
    });
  }
});

Deno.test("checkSizes() leaves to the engine what nobody named", () => {
  checkSizes(CONFIG, { maxBatch: 16 }, "cpu");
});
