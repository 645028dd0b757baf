/** @file Kernels that do one thing as fast as the adapter can: the yardsticks of all others. */
import type { Kernel } from "../../src/gpu/gpu.ts";

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Vectors of 16 bytes that a thread of {@link readKernel} reads. */
export const READS_PER_THREAD = 64;
/** Reads between two turns of the loop, whose bounds check would otherwise be measured too. */
const READS_PER_TURN = 16;

/** Sums vec4s, neighbouring threads reading neighbours. A workgroup takes `threads * READS_PER_THREAD` of them. */
export function readKernel(threads: number): Kernel {
  return {
    label: `peak read ${threads}`,
    bindings: ["read", "write"],
    wgsl: `
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  var sum: vec4<f32> = vec4<f32>(0.0);
  let first = workgroup.x * ${threads * READS_PER_THREAD}u + thread;
  for (var i: u32 = 0u; i < ${READS_PER_THREAD / READS_PER_TURN}u; i++) {
    let at = first + i * ${READS_PER_TURN * threads}u;
    sum += ${range(READS_PER_TURN).map((j) => `input[at + ${j * threads}u]`).join(" + ")};
  }
  // Never so, but the compiler cannot know: what does not matter is not read.
  if (sum.x + sum.y + sum.z + sum.w == 1.5) { output[thread] = sum; }
}
`,
  };
}

const ACCUMULATORS = 8;
const ROUNDS = 512;
export const ARITHMETIC_THREADS = 256;

/** Operations of one thread of {@link multiplyAddKernel}: a multiplication and an addition for each of four elements. */
export const MULTIPLY_ADD_OPERATIONS = ROUNDS * ACCUMULATORS * 4 * 2;

/** Multiplies and adds in registers. */
export function multiplyAddKernel(element: "f32" | "f16"): Kernel {
  const names = range(ACCUMULATORS).map((i) => `a${i}`);
  return {
    label: `peak arithmetic ${element}`,
    bindings: ["write"],
    wgsl: `
${element === "f16" ? "enable f16;" : ""}
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size(${ARITHMETIC_THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let x = vec4<${element}>(${element}(f32(thread) * 1e-3));
  ${names.map((name, i) => `var ${name}: vec4<${element}> = vec4<${element}>(${element}(${i}.0));`).join(" ")}
  for (var i: u32 = 0u; i < ${ROUNDS}u; i++) {
    ${names.map((name) => `${name} = fma(${name}, x, x);`).join(" ")}
  }
  let sum = vec4<f32>(${names.join(" + ")});
  if (sum.x + sum.y + sum.z + sum.w == 1.5) { output[thread] = sum; }
}
`,
  };
}

/** Operations of one thread of {@link dotKernel}: four multiplications and four additions a product. */
export const DOT_OPERATIONS = ROUNDS * ACCUMULATORS * 8;

/** Dot products of four packed signed bytes. */
export const dotKernel: Kernel = {
  label: "peak int8 dot products",
  bindings: ["write"],
  wgsl: `
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size(${ARITHMETIC_THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let x = thread * 0x01030507u;
  ${range(ACCUMULATORS).map((i) => `var a${i}: i32 = ${i};`).join(" ")}
  for (var i: u32 = 0u; i < ${ROUNDS}u; i++) {
    ${range(ACCUMULATORS).map((i) => `a${i} += dot4I8Packed(x, bitcast<u32>(a${i}));`).join(" ")}
  }
  let sum = ${range(ACCUMULATORS).map((i) => `a${i}`).join(" + ")};
  if (sum == 123456789) { output[thread] = vec4<f32>(f32(sum)); }
}
`,
};

/** Does nothing to a buffer: dispatches that share one wait for each other. */
export const emptyKernel: Kernel = {
  label: "empty",
  bindings: ["write"],
  wgsl: `
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (thread == 64u) { output[0] = 1u; }
}
`,
};

/** The same, but waits for nothing. */
export const freeKernel: Kernel = {
  label: "empty, reading",
  bindings: ["read"],
  wgsl: `
@group(0) @binding(1) var<storage, read> input: array<u32>;
var<workgroup> seen: u32;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (thread == 64u) { seen = input[0]; }
}
`,
};
