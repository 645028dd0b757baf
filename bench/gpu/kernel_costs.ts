/** @file What a dispatch has to read and compute at least, by its kernel's label and the buffers that it binds. */
import type { TensorType } from "../../src/formats/model_file.ts";
import { weightFormat } from "../../src/kernels/weight_formats/weight_formats.ts";
import { attentionOperations } from "../statistics.ts";
import type { Shape } from "./shapes.ts";

export interface Cost {
  readonly bytes: number;
  readonly operations: number;
}

/** What a decode step or a prefill tile works on. */
export interface Work {
  readonly shape: Shape;
  /** Vectors: streams of a step, rows of a tile. */
  readonly vectors: number;
  /** Rows of each cache, the new ones included. */
  readonly cacheRows: number;
}

/** What a kernel of this label has to do; undefined for those that nobody has counted. */
export function costOf(label: string, buffers: readonly GPUBuffer[], work: Work): Cost | undefined {
  const { shape, vectors, cacheRows } = work;
  const { hiddenSize, queryHeads, kvHeads, headSize, feedForwardSize, vocabulary } = shape;
  const [name, type] = label.replace(",", "").split(" ");
  const floats = (count: number): Cost => ({ bytes: 4 * vectors * count, operations: 0 });
  const cacheBytes = cacheRows * kvHeads * headSize * 2 * 2;
  if (name === "matvec" || name === "matmul") return productCost(type as TensorType, buffers, vectors);
  if (label.startsWith("decode attention")) {
    return {
      bytes: vectors * cacheBytes,
      operations: vectors * attentionOperations(queryHeads, headSize, 1, cacheRows),
    };
  }
  if (label.startsWith("prefill attention")) {
    return { bytes: cacheBytes, operations: attentionOperations(queryHeads, headSize, vectors, cacheRows) };
  }
  switch (name) {
    case "rms-norm":
      return floats(2 * hiddenSize);
    case "swiglu":
      return floats(3 * feedForwardSize);
    case "rotate":
      return floats(2 * (queryHeads + 2 * kvHeads) * headSize);
    case "embed":
      return floats(hiddenSize);
  }
  return label.startsWith("sample") ? floats(vocabulary) : undefined;
}

/** All weights are read once, and multiplied with every vector. */
function productCost(type: TensorType, buffers: readonly GPUBuffer[], vectors: number): Cost {
  const format = weightFormat(type);
  const planes = buffers.slice(0, format.planes.length);
  const bytes = planes.reduce((sum, { size }) => sum + size, 0);
  return { bytes, operations: 2 * planes[0].size / format.planeBytesPerUnit[0] * format.unit * vectors };
}
