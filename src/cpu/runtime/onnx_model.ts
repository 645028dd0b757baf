/**
 * @file Writes ONNX models: a graph as data becomes the bytes of a `ModelProto`, the protocol buffer that onnxruntime loads.
 *
 * Only what our graphs are made of is written: nodes with number attributes, inputs and outputs with their shapes. Weights are
 * inputs, so that one graph serves every layer. Field numbers are those of onnx/onnx.proto.
 */

/** Element types, by their numbers in ONNX. */
export const ELEMENT_TYPES = { f32: 1, u8: 2, i8: 3, i32: 6 } as const;
export type ElementType = keyof typeof ELEMENT_TYPES;

/** The domain of the operators that onnxruntime adds to ONNX. */
export const MICROSOFT = "com.microsoft";

/** A tensor that goes into a graph or comes out of it. */
export interface GraphTensor {
  readonly name: string;
  /** Default: f32. */
  readonly type?: ElementType;
  /** Sizes; a name stands for one that may differ from run to run. */
  readonly shape: readonly (number | string)[];
}

export interface GraphNode {
  readonly operator: string;
  readonly domain?: string;
  /** Names of tensors. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that are whole numbers, lists of them, and other numbers. */
  readonly integers?: Readonly<Record<string, number | readonly number[]>>;
  readonly floats?: Readonly<Record<string, number>>;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly GraphTensor[];
  readonly outputs: readonly GraphTensor[];
}

/** Versions that the graphs are written for; see https://github.com/onnx/onnx/blob/main/docs/Versioning.md. */
const IR_VERSION = 8;
const OPERATOR_SETS = [["", 17], [MICROSOFT, 1]] as const;

/** Numbers of the attribute types. */
const ATTRIBUTE = { float: 1, integer: 2, integers: 7 } as const;

/** The bytes of an ONNX model. */
export function encodeModel({ nodes, inputs, outputs }: Graph): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...integer(1, IR_VERSION),
    ...message(7, [
      ...nodes.flatMap((node) => message(1, nodeFields(node))),
      ...text(2, "graph"),
      ...inputs.flatMap((tensor) => message(11, tensorFields(tensor))),
      ...outputs.flatMap((tensor) => message(12, tensorFields(tensor))),
    ]),
    ...OPERATOR_SETS.flatMap(([domain, version]) => message(8, [...text(1, domain), ...integer(2, version)])),
  ]);
}

function nodeFields({ operator, domain = "", inputs, outputs, integers = {}, floats = {} }: GraphNode): number[] {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(3, outputs[0]),
    ...text(4, operator),
    ...Object.entries(integers).flatMap(([name, value]) => message(5, integerAttribute(name, value))),
    ...Object.entries(floats).flatMap(([name, value]) =>
      message(5, [...text(1, name), ...float(2, value), ...integer(20, ATTRIBUTE.float)])
    ),
    ...text(7, domain),
  ];
}

function integerAttribute(name: string, value: number | readonly number[]): number[] {
  return typeof value === "number"
    ? [...text(1, name), ...integer(3, value), ...integer(20, ATTRIBUTE.integer)]
    : [...text(1, name), ...value.flatMap((one) => integer(8, one)), ...integer(20, ATTRIBUTE.integers)];
}

function tensorFields({ name, type = "f32", shape }: GraphTensor): number[] {
  const dimensions = shape.flatMap((size) => message(1, typeof size === "number" ? integer(1, size) : text(2, size)));
  return [...text(1, name), ...message(2, message(1, [...integer(1, ELEMENT_TYPES[type]), ...message(2, dimensions)]))];
}

// The wire format: a key (field number and kind), then the value.

function integer(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function float(field: number, value: number): number[] {
  return [...varint(field * 8 + 5), ...new Uint8Array(Float32Array.of(value).buffer)];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}

function message(field: number, bytes: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
}

/** Seven bits a byte, the lowest first; negative numbers as 64 bits. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}
