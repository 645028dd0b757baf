/** @file The recorder with timestamps does what the engine's does. */
import assert from "node:assert/strict";
import { TimestampRecorder } from "../../../bench/gpu/timestamp_recorder.ts";
import { readBuffer } from "../../../fixtures/gpu.ts";
import { Gpu, type Kernel } from "../../../src/gpu/gpu.ts";

/** Not commutative, so that the order shows: multiplies by one parameter and adds the other. */
const KERNEL: Kernel = {
  label: "multiply and add",
  bindings: ["write"],
  wgsl: `
struct Params { factor: u32, summand: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> values: array<u32>;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) thread: u32) {
  values[thread] = values[thread] * params.factor + params.summand;
}
`,
};

const adapter = await navigator.gpu.requestAdapter();
const lacks = adapter?.features.has("timestamp-query") !== true;

for (const together of [true, false]) {
  Deno.test({
    name: `TimestampRecorder runs dispatches in order, ${together ? "in one pass" : "each in a pass of its own"}${
      lacks ? " (the adapter has no timestamp queries)" : ""
    }`,
    ignore: lacks,
    fn: async () => {
      const gpu = await Gpu.open(["timestamp-query"]);
      const values = gpu.upload("values", Uint32Array.of(1, 2, 3, 4));
      const binding = gpu.binding(KERNEL, [values]);
      const recorder = new TimestampRecorder(gpu, together);
      let expected = [1, 2, 3, 4];
      // Twice: it can be used again.
      for (let round = 0; round < 2; round++) {
        for (const [factor, summand] of [[3, 1], [5, 2], [2, 7]]) {
          recorder.dispatch(binding, { params: [factor, summand], grid: [1] });
          expected = expected.map((value) => value * factor + summand);
        }
        recorder.dispatch(binding, { params: [0, 0], grid: [0] });
        const passes = await recorder.time();
        assert.deepEqual(passes.map(({ dispatches }) => dispatches.length), together ? [3] : [1, 1, 1]);
        for (const { dispatches, ticks } of passes) {
          assert.ok(ticks >= 0 && Number.isFinite(ticks));
          assert.ok(dispatches.every(({ label, group }) => label === KERNEL.label && group === binding.group));
        }
      }
      assert.deepEqual([...new Uint32Array(await readBuffer(gpu, values))], expected);
      gpu.destroy();
    },
  });
}
