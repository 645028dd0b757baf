import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../../src/cache/block.ts";
import { moveSlots, moveSlotsDispatch } from "../../../src/kernels/scoring/move_slots.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { randomInteger, seededRandom } from "../../../fixtures/random.ts";

for (const element of ["f16", "f32"] as const) {
  Deno.test(`moveSlots() of ${element} copies the listed slots whole and touches nothing else`, async () => {
    const random = seededRandom(1);
    for (const headSize of [8, 24, 80, 256]) {
      const slots = 23;
      const slotElements = 2 * BLOCK_ROWS * headSize;
      // Small whole numbers are exact in f16.
      const arena = kvArray(
        element,
        Array.from({ length: slots * slotElements }, () => randomInteger(random, 0, 2000)),
      );
      const unlisted = [9, 9, 9, 9];
      const moves = [22, 0, 3, 7, 4, 21, 3, 8];
      const expected = arena.slice();
      for (let i = 0; i < moves.length; i += 2) {
        expected.set(
          arena.subarray(moves[i] * slotElements, (moves[i] + 1) * slotElements),
          moves[i + 1] * slotElements,
        );
      }
      const results = await runKernel(
        await testGpu(),
        moveSlots(element),
        moveSlotsDispatch({ headSize, firstMove: unlisted.length / 2, count: moves.length / 2 }),
        [Uint32Array.of(...unlisted, ...moves), arena],
      );
      assert.deepEqual(readKv(element, results[1]), expected);
    }
  });
}
