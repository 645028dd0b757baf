/** @file Keys and values as tests write them to the GPU and read them back. */
import type { KvElement } from "../../src/kernels/kv_element.ts";

/** Numbers in the layout of a KV buffer. */
export type KvArray = Float16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/** `values` rounded to what the element type can hold. */
export function kvArray(element: KvElement, values: ArrayLike<number>): KvArray {
  return element === "f16" ? Float16Array.from(values) : Float32Array.from(values);
}

/** The numbers of a KV buffer that was read back. */
export function readKv(element: KvElement, data: ArrayBuffer): KvArray {
  return element === "f16" ? new Float16Array(data) : new Float32Array(data);
}
