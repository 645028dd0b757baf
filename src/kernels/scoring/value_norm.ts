/**
 * @file The size of a row's value, in WGSL: the mean of the absolute values of its elements, that is, the L1 norm over the head
 * size. All rows are alike in that, so that the order is the norm's.
 */
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

/**
 * `value_norm(kv_head, j)` of row `params.start + j`, with its binding 1: values KV elements `[kvHead][capacity][headSize]`. The
 * module's `params` must hold `start` and `capacity`.
 */
export const valueNormFunction = (element: KvElement, headSize: number): string => `
@group(0) @binding(1) var<storage, read> values: array<${kvVec4Type(element)}>;
${kvFunctions(element)}
fn value_norm(kv_head: u32, j: u32) -> f32 {
  let first = (kv_head * params.capacity + params.start + j) * ${headSize / 4}u;
  var sum: vec4<f32> = vec4<f32>();
  for (var d: u32 = 0u; d < ${headSize / 4}u; d++) { sum += abs(load_kv(values[first + d])); }
  return dot(sum, vec4<f32>(${1 / headSize}));
}
`;
