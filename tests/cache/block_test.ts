import assert from "node:assert/strict";
import { blockBytes, blocksFor } from "../../src/cache/block.ts";

Deno.test("blockBytes() counts keys and values of 16 rows of all KV heads", () => {
  // Llama 3 8B: 8 KV heads of 128, f16: 4 KiB a row and layer.
  assert.equal(blockBytes(8, 128, 2), 16 * 4096);
  assert.equal(blockBytes(4, 8, 4), 16 * 4 * 8 * 2 * 4);
});

Deno.test("blocksFor() rounds up to whole blocks", () => {
  assert.deepEqual([0, 1, 15, 16, 17, 32, 33].map(blocksFor), [0, 1, 1, 1, 2, 2, 3]);
});
