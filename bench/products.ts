/**
 * @file Matrix products of Ebb and of onnxruntime-web that compute the same numbers.
 *
 * Products are chained, as layers of a model are: x -> W1 x -> W2 W1 x -> W1 W2 W1 x ..., so that a chain of any length
 * can go to the GPU at once and neither engine can skip or overlap a product.
 */
import { TENSOR_TYPES } from "../src/formats/tensor_types.ts";
import type { Gpu } from "../src/gpu/gpu.ts";
import { matmulDispatch, matmulKernel } from "../src/kernels/forward/matmul.ts";
import { matvecDispatch, matvecKernel } from "../src/kernels/forward/matvec.ts";
import { weightFormat } from "../src/kernels/weight_formats/weight_formats.ts";
import { randomMatrix, type TestMatrix } from "../fixtures/matrices.ts";
import { normalValues, seededRandom } from "../fixtures/random.ts";
import { type BoundDispatch, EbbChain } from "./ebb_chain.ts";
import { MICROSOFT, type OnnxData, type OnnxGraph, type OnnxNode, type PeerGraph } from "./onnx.ts";

/** A product of `vectors` vectors with a matrix `[rows, columns]`, and, next in the chain, one `[columns, rows]`. */
export interface ProductCase {
  readonly kernel: "prefill" | "decode";
  readonly type: "F32" | "F16" | "Q8_0" | "Q4_0" | "Q4_K";
  readonly vectors: number;
  readonly columns: number;
  readonly rows: number;
}

/** Random operands of a case. */
export interface ProductData {
  readonly x: Float32Array<ArrayBuffer>;
  /** `[rows, columns]` and `[columns, rows]`. */
  readonly matrices: readonly [TestMatrix, TestMatrix];
}

export function productData({ type, vectors, columns, rows }: ProductCase): ProductData {
  const random = seededRandom(columns + rows);
  return {
    x: normalValues(random, vectors * columns),
    matrices: [randomMatrix(random, type, rows, columns), randomMatrix(random, type, columns, rows)],
  };
}

/** Ebb's chain of `length` products, an even number, and the buffer `[vectors, columns]` that the last one writes. */
export function ebbProducts(gpu: Gpu, of: ProductCase, { x, matrices }: ProductData, length: number) {
  const { vectors, columns, rows } = of;
  const first = gpu.upload("x", x);
  const wide = gpu.createBuffer("W1 x", vectors * rows * 4);
  const output = gpu.createBuffer("W2 W1 x", vectors * columns * 4);
  const planes = matrices.map((matrix) => matrix.planes.map((plane) => gpu.upload("weights", plane)));
  const product = (matrix: 0 | 1, from: GPUBuffer, to: GPUBuffer): BoundDispatch => {
    const [outputs, inputs] = matrix === 0 ? [rows, columns] : [columns, rows];
    const buffers = [...planes[matrix], from, to];
    const format = weightFormat(of.type);
    if (of.kernel === "prefill") {
      return {
        binding: gpu.binding(
          matmulKernel({ format, bias: false, epilogue: "store", subgroupSize: gpu.subgroupSize }),
          buffers,
        ),
        ...matmulDispatch({ rows: outputs, columns: inputs, count: vectors, xStride: inputs, yStride: outputs }),
      };
    }
    const kernel = matvecKernel({
      format,
      columns: inputs,
      batch: vectors,
      norm: false,
      bias: false,
      epilogue: "store",
    });
    return {
      binding: gpu.binding(kernel, buffers),
      ...matvecDispatch({ kernel, rows: outputs, count: vectors, xStride: inputs, yStride: outputs, yOffset: 0 }),
    };
  };
  const [start, up, down] = [product(0, first, wide), product(0, output, wide), product(1, wide, output)];
  const dispatches = Array.from({ length }, (_, i) => i === 0 ? start : i % 2 === 0 ? up : down);
  return { chain: new EbbChain(gpu, dispatches), output, buffers: [first, wide, output, ...planes.flat()] };
}

/** What the peer calls a product with each weight type; it has none for Q4_K. */
const PEER_KERNELS: Partial<Record<ProductCase["type"], string>> = {
  F32: "MatMul, f32",
  F16: "MatMul, f16 (activations and output too)",
  Q8_0: "MatMulNBits, 8 bits, blocks of 32",
  Q4_0: "MatMulNBits, 4 bits, blocks of 32",
};

/** The peer's ways to compute a case: one, or none. */
export function peerProducts(of: ProductCase, data: ProductData): PeerGraph[] {
  const kernel = PEER_KERNELS[of.type];
  return kernel === undefined ? [] : [{ kernel, graph: (length) => productGraph(of, data, length) }];
}

function productGraph(of: ProductCase, { x, matrices }: ProductData, length: number): OnnxGraph {
  const { vectors, columns, rows, type } = of;
  const activations = type === "F16" ? "float16" : "float32";
  const nodes = Array.from({ length }, (_, i): OnnxNode => {
    const wire = (index: number) => index === 0 ? "x" : index === length ? "y" : `t${index}`;
    const matrix = i % 2;
    const [outputs, inputs] = matrix === 0 ? [rows, columns] : [columns, rows];
    const ends = { inputs: [wire(i), `w${matrix}`], outputs: [wire(i + 1)] };
    if (type === "F32" || type === "F16") return { operator: "MatMul", ...ends };
    return {
      operator: "MatMulNBits",
      domain: MICROSOFT,
      inputs: [...ends.inputs, `s${matrix}`],
      outputs: ends.outputs,
      integers: { K: inputs, N: outputs, bits: type === "Q4_0" ? 4 : 8, block_size: 32 },
    };
  });
  return {
    nodes,
    constants: matrices.flatMap((matrix, index) => onnxWeights(type, matrix, index)),
    inputs: [{
      name: "x",
      type: activations,
      dims: [vectors, columns],
      data: type === "F16" ? Float16Array.from(x) : x,
    }],
    outputs: [{ name: "y", type: activations, dims: [vectors, columns] }],
  };
}

/** A matrix as the peer takes it: floats transposed, quants as whole bytes and scales. */
function onnxWeights(type: ProductCase["type"], matrix: TestMatrix, index: number): OnnxData[] {
  const { rows, columns, bytes, values } = matrix;
  if (type === "F32" || type === "F16") {
    const transposed = type === "F32" ? new Float32Array(values.length) : new Float16Array(values.length);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        transposed[column * rows + row] = values[row * columns + column];
      }
    }
    const onnxType = type === "F32" ? "float32" : "float16";
    return [{ name: `w${index}`, type: onnxType, dims: [columns, rows], data: transposed }];
  }
  const { blockBytes, blockElements } = TENSOR_TYPES[type];
  const blocks = rows * columns / blockElements;
  const quantBytes = blockBytes - 2;
  const quants = new Uint8Array(blocks * quantBytes);
  const scales = new Float32Array(blocks);
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let block = 0; block < blocks; block++) {
    const at = block * blockBytes;
    scales[block] = data.getFloat16(at, true);
    for (let i = 0; i < quantBytes; i++) {
      quants[block * quantBytes + i] = type === "Q8_0"
        // The peer's zero is 128.
        ? data.getUint8(at + 2 + i) ^ 0x80
        // GGUF pairs elements i and i + 16 in a byte, the peer 2i and 2i + 1.
        : nibble(data, at + 2, 2 * i) | nibble(data, at + 2, 2 * i + 1) << 4;
    }
  }
  return [
    { name: `w${index}`, type: "uint8", dims: [rows, columns / blockElements, quantBytes], data: quants },
    { name: `s${index}`, type: "float32", dims: [blocks], data: scales },
  ];
}

/** Element `i` of a Q4_0 block whose quants begin at `at`. */
function nibble(data: DataView, at: number, i: number): number {
  return i < 16 ? data.getUint8(at + i) & 15 : data.getUint8(at + i - 16) >> 4;
}
