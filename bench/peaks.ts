/** @file What the adapter can do at most: plain reads and plain arithmetic, the yardsticks of the kernels. */
import type { Gpu, Kernel } from "../src/gpu/gpu.ts";
import { EbbChain } from "./ebb_chain.ts";
import type { Peaks } from "./kernel_results.ts";
import { compare, type TimingOptions } from "./timing.ts";

const THREADS = 64;
const READ_BYTES = 128 * 2 ** 20;
const READS_PER_THREAD = 64;
/** Reads between two turns of the loop, whose bounds check would otherwise be measured too. */
const READS_PER_TURN = 16;
const ARITHMETIC_GROUPS = 1024;
const ARITHMETIC_ROUNDS = 512;
const ACCUMULATORS = 8;

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const accumulators = range(ACCUMULATORS).map((i) => `a${i}`);

/** Sums vec4s, neighbouring threads reading neighbours. Grid: one workgroup per `THREADS * READS_PER_THREAD` vec4s. */
const readAll: Kernel = {
  label: "peak read",
  bindings: ["read", "write"],
  wgsl: `
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  var sum: vec4<f32> = vec4<f32>(0.0);
  let first = workgroup.x * ${THREADS * READS_PER_THREAD}u + thread;
  for (var i: u32 = 0u; i < ${READS_PER_THREAD / READS_PER_TURN}u; i++) {
    let at = first + i * ${READS_PER_TURN * THREADS}u;
    sum += ${range(READS_PER_TURN).map((j) => `input[at + ${j * THREADS}u]`).join(" + ")};
  }
  output[workgroup.x * ${THREADS}u + thread] = sum;
}
`,
};

/** Multiplies and adds without memory. */
const multiplyAdd: Kernel = {
  label: "peak arithmetic",
  bindings: ["write"],
  wgsl: `
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let x = vec4<f32>(f32(thread) * 1e-3);
  ${accumulators.map((name, i) => `var ${name}: vec4<f32> = vec4<f32>(${i}.0);`).join(" ")}
  for (var i: u32 = 0u; i < ${ARITHMETIC_ROUNDS}u; i++) {
    ${accumulators.map((name) => `${name} = fma(${name}, x, x);`).join(" ")}
  }
  output[workgroup.x * ${THREADS}u + thread] = ${accumulators.join(" + ")};
}
`,
};

/** Measures the adapter. */
export async function measurePeaks(gpu: Gpu, timing: TimingOptions): Promise<Peaks> {
  const groups = READ_BYTES / 16 / THREADS / READS_PER_THREAD;
  const input = gpu.createBuffer("peak input", READ_BYTES);
  const output = gpu.createBuffer("peak output", Math.max(groups, ARITHMETIC_GROUPS) * THREADS * 16);
  const chain = (kernel: Kernel, buffers: GPUBuffer[], grid: number) =>
    new EbbChain(gpu, [{ binding: gpu.binding(kernel, buffers), params: [], grid: [grid] }]);
  // A peak is the best that was seen, not the usual.
  const best = async (contender: EbbChain) => Math.min(...(await compare([contender], timing))[0]);
  const read = await best(chain(readAll, [input, output], groups));
  const arithmetic = await best(chain(multiplyAdd, [output], ARITHMETIC_GROUPS));
  gpu.destroyBuffer(input);
  gpu.destroyBuffer(output);
  const operations = ARITHMETIC_GROUPS * THREADS * ARITHMETIC_ROUNDS * ACCUMULATORS * 4 * 2;
  return { readBytesPerSecond: READ_BYTES / read, operationsPerSecond: operations / arithmetic };
}
