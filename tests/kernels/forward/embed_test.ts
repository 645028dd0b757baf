import assert from "node:assert/strict";
import { TENSOR_TYPE_NAMES } from "../../../src/formats/tensor_types.ts";
import { embedDispatch, embedKernel } from "../../../src/kernels/forward/embed.ts";
import { paddedColumns } from "../../../src/kernels/weight_formats/weight_format.ts";
import { weightFormat } from "../../../src/kernels/weight_formats/weight_formats.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomMatrix } from "../../../fixtures/matrices.ts";
import { seededRandom } from "../../../fixtures/random.ts";

Deno.test("embed() looks rows up in tables of every weight type, directly and through slots, and skips ids of other parts", async () => {
  const gpu = await testGpu();
  for (const type of TENSOR_TYPE_NAMES) {
    const columns = type.endsWith("_K") ? 512 : type === "F32" ? 36 : 96;
    const padded = paddedColumns(columns);
    const table = randomMatrix(seededRandom(5), type, 9, columns);
    const ids = Uint32Array.of(8, 0, 3, 77);
    const slots = Uint32Array.of(2, 0, 1, 3);
    for (const bySlot of [false, true]) {
      const dispatch = embedDispatch({
        format: weightFormat(type),
        columns: padded,
        vocabulary: 9,
        firstId: 0,
        idCount: 4,
        first: 1,
        count: 3,
        bySlot,
      });
      const x = new Float32Array(4 * padded).fill(7);
      const results = await runKernel(
        gpu,
        embedKernel(weightFormat(type)),
        dispatch,
        [...table.planes, ids, slots, x],
      );
      const actual = new Float32Array(results.at(-1)!);
      for (let at = 0; at < actual.length; at++) {
        const row = Math.floor(at / padded);
        const id = Math.min(8, bySlot ? ids[slots[row]] : ids[row]);
        const expected = row === 0 || id >= 4 ? 7 : table.values[id * padded + at % padded];
        // One multiplication and one addition in f32.
        assert.ok(Math.abs(actual[at] - expected) <= 1e-6 * (1 + Math.abs(expected)), `${type} element ${at}`);
      }
    }
  }
});
