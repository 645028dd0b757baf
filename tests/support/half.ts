/** @file KV buffers for kernel tests: f64 values as the GPU stores them, and back. */
import type { KvElement } from "../../src/kernels/kv_element.ts";

/** The bytes of `values` stored as KV elements. */
export function storeElements(
  element: KvElement,
  values: ArrayLike<number>,
): Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer> {
  return element === "f16" ? Float16Array.from(values) : Float32Array.from(values);
}

/** The values of stored KV elements. */
export function loadElements(element: KvElement, bytes: ArrayBuffer): Float32Array | Float16Array {
  return element === "f16" ? new Float16Array(bytes) : new Float32Array(bytes);
}
