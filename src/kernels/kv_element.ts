/** @file How keys and values are stored on the GPU: f16, two to a u32, needing no `shader-f16`; or f32 for exact tests. */

export type KvElement = "f16" | "f32";

/** Bytes of one stored element. */
export function kvElementBytes(element: KvElement): number {
  return element === "f16" ? 2 : 4;
}

/** WGSL type of four neighbouring elements of a KV buffer. */
export function kvVec4Type(element: KvElement): string {
  return element === "f16" ? "vec2<u32>" : "vec4<f32>";
}

/** WGSL element type of a KV buffer that is read by {@link loadKvUnit}. */
export function kvUnitType(element: KvElement): string {
  return element === "f16" ? "vec4<u32>" : "vec4<f32>";
}

/** WGSL that loads the eight elements of unit `index` of `buffer` into the vectors `{name}_0` and `{name}_1`. */
export function loadKvUnit(element: KvElement, name: string, buffer: string, index: string): string {
  return element === "f16"
    ? `let ${name} = ${buffer}[${index}];
      let ${name}_0 = vec4<f32>(unpack2x16float(${name}.x), unpack2x16float(${name}.y));
      let ${name}_1 = vec4<f32>(unpack2x16float(${name}.z), unpack2x16float(${name}.w));`
    : `let ${name} = 2u * (${index});
      let ${name}_0 = ${buffer}[${name}];
      let ${name}_1 = ${buffer}[${name} + 1u];`;
}

/** WGSL functions `load_kv(stored) -> vec4<f32>` and `store_kv(value: vec4<f32>) -> stored` for four elements. */
export function kvFunctions(element: KvElement): string {
  return element === "f16"
    ? `
fn load_kv(stored: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(stored.x), unpack2x16float(stored.y)); }
fn store_kv(value: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw)); }
`
    : `
fn load_kv(stored: vec4<f32>) -> vec4<f32> { return stored; }
fn store_kv(value: vec4<f32>) -> vec4<f32> { return value; }
`;
}
