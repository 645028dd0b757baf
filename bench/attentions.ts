/**
 * @file Attention of Ebb and of onnxruntime-web over the same queries, keys and values.
 *
 * Attentions are chained: the output of one is the query of the next, over the same keys and values.
 */
import { BLOCK_ROWS, blockBytes, blocksFor } from "../src/cache/block.ts";
import type { Gpu } from "../src/gpu/gpu.ts";
import {
  decodeAttentionDispatches,
  decodeAttentionKernel,
  mergeSplitsKernel,
  SPLIT_ROWS,
} from "../src/kernels/forward/decode_attention.ts";
import type { KvElement } from "../src/kernels/kv_element.ts";
import { prefillAttentionDispatch, prefillAttentionKernel } from "../src/kernels/forward/prefill_attention.ts";
import { subgroupDecodeAttentionKernel } from "../src/kernels/forward/subgroup_decode_attention.ts";
import { LANES } from "../src/kernels/lanes.ts";
import { subgroupPrefillAttentionKernel } from "../src/kernels/forward/subgroup_prefill_attention.ts";
import { kvArray } from "../fixtures/kv.ts";
import { normalValues, seededRandom } from "../fixtures/random.ts";
import { type BoundDispatch, EbbChain } from "./ebb_chain.ts";
import { MICROSOFT, type OnnxGraph, type OnnxNode, type PeerGraph } from "./onnx.ts";

/** The heads of SmolLM2-135M. */
export const HEADS = { queryHeads: 9, kvHeads: 3, headSize: 64 } as const;
const { queryHeads, kvHeads, headSize } = HEADS;
const QUERY_SIZE = queryHeads * headSize;

/** Causal attention of `rows` new rows in a context of `total`: all of them in prefill, the last one in decoding. */
export interface AttentionCase {
  readonly kernel: "prefill" | "decode";
  readonly element: KvElement;
  readonly rows: number;
  readonly total: number;
}

/** Random operands: queries `[rows, queryHeads, headSize]`; keys and values `[kvHeads, total, headSize]`. */
export interface AttentionData {
  readonly queries: Float32Array<ArrayBuffer>;
  readonly keys: Float32Array<ArrayBuffer>;
  readonly values: Float32Array<ArrayBuffer>;
}

export function attentionData({ element, rows, total }: AttentionCase): AttentionData {
  const random = seededRandom(total);
  const stored = (count: number) => Float32Array.from(kvArray(element, normalValues(random, count)));
  return {
    queries: normalValues(random, rows * QUERY_SIZE),
    keys: stored(kvHeads * total * headSize),
    values: stored(kvHeads * total * headSize),
  };
}

/** Ebb's chain of `length` attentions, and the buffer `[rows, queryHeads, headSize]` that the last one writes. */
export function ebbAttentions(gpu: Gpu, of: AttentionCase, data: AttentionData, length: number) {
  const { rows } = of;
  const queries = gpu.upload("queries", data.queries);
  const outputs = [0, 1].map(() => gpu.createBuffer("attention output", rows * QUERY_SIZE * 4));
  const attend = of.kernel === "prefill" ? prefillAttention(gpu, of, data) : decodeAttention(gpu, of, data);
  const [start, odd, even] = [[queries, outputs[0]], [outputs[0], outputs[1]], [outputs[1], outputs[0]]]
    .map(([from, to]) => attend.dispatches(from, to));
  const dispatches = Array.from({ length }, (_, i) => i === 0 ? start : i % 2 === 1 ? odd : even).flat();
  return {
    chain: new EbbChain(gpu, dispatches),
    output: outputs[(length - 1) % 2],
    buffers: [queries, ...outputs, ...attend.buffers],
  };
}

function prefillAttention(gpu: Gpu, { element, rows, total }: AttentionCase, data: AttentionData) {
  const variant = { element, ...HEADS };
  const kernel = gpu.subgroupSize === LANES ? subgroupPrefillAttentionKernel(variant) : prefillAttentionKernel(variant);
  const keys = gpu.upload("keys", kvArray(element, data.keys));
  const values = gpu.upload("values", kvArray(element, data.values));
  const places = gpu.upload("rows", Uint32Array.from({ length: rows * 4 }, (_, i) => i % 4 === 0 ? i / 4 : 0));
  const shape = { kernel, queryHeads, headSize, firstRow: 0, count: rows, capacity: total, outStride: QUERY_SIZE };
  return {
    buffers: [keys, values, places],
    dispatches: (from: GPUBuffer, to: GPUBuffer): BoundDispatch[] => [{
      binding: gpu.binding(kernel, [from, keys, values, places, to]),
      ...prefillAttentionDispatch(shape),
    }],
  };
}

function decodeAttention(gpu: Gpu, { element, total }: AttentionCase, data: AttentionData) {
  const variant = { element, ...HEADS };
  const kernel = gpu.subgroupSize === LANES ? subgroupDecodeAttentionKernel(variant) : decodeAttentionKernel(variant);
  const blocks = blocksFor(total);
  const blockElements = blockBytes(kvHeads, headSize, 1);
  // Pages lie in no order, as they do after an hour of serving.
  const random = seededRandom(total);
  const ids = Uint32Array.from({ length: blocks }, (_, id) => id);
  for (let i = blocks - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [ids[i], ids[j]] = [ids[j], ids[i]];
  }
  const pages = new Float32Array(blocks * blockElements);
  for (let head = 0; head < kvHeads; head++) {
    for (let row = 0; row < total; row++) {
      const source = (head * total + row) * headSize;
      const target = ids[Math.floor(row / BLOCK_ROWS)] * blockElements +
        (head * 2 * BLOCK_ROWS + row % BLOCK_ROWS) * headSize;
      pages.set(data.keys.subarray(source, source + headSize), target);
      pages.set(data.values.subarray(source, source + headSize), target + BLOCK_ROWS * headSize);
    }
  }
  const splits = Math.ceil(total / SPLIT_ROWS);
  const arena = gpu.upload("arena", kvArray(element, pages));
  const tables = gpu.upload("block table", ids);
  const places = gpu.createBuffer("rows", 16);
  const layerRows = gpu.upload("layer rows", Uint32Array.of(0, total - 1));
  const partials = gpu.createBuffer("partials", QUERY_SIZE * splits * 4);
  const stats = gpu.createBuffer("statistics", queryHeads * splits * 8);
  const { split, merge } = decodeAttentionDispatches({
    ...HEADS,
    layer: 0,
    step: 0,
    firstRow: 0,
    count: 1,
    countMax: 1,
    tableStride: blocks,
    splits,
    outStride: QUERY_SIZE,
  });
  return {
    buffers: [arena, tables, places, layerRows, partials, stats],
    dispatches: (from: GPUBuffer, to: GPUBuffer): BoundDispatch[] => [
      {
        binding: gpu.binding(
          kernel,
          [from, places, layerRows, tables, arena, partials, stats, to],
        ),
        ...split,
      },
      ...(merge === null ? [] : [{
        binding: gpu.binding(mergeSplitsKernel(variant), [partials, stats, to]),
        ...merge,
      }]),
    ],
  };
}

/** The peer's ways to attend: its fused operator, and in decoding also plain products, which may be faster there. */
export function peerAttentions(of: AttentionCase, data: AttentionData): PeerGraph[] {
  const precision = of.element === "f32" ? "f32" : "f16 (queries and output too)";
  const fused = {
    kernel: `GroupQueryAttention, ${precision}`,
    graph: (length: number) => fusedGraph(of, data, length),
  };
  const plain = {
    kernel: `MatMul, Softmax, MatMul, ${precision}`,
    graph: (length: number) => plainGraph(of, data, length),
  };
  return of.kernel === "prefill" ? [fused] : [fused, plain];
}

/** GroupQueryAttention. In decoding its cache is one contiguous buffer that it extends in place. */
function fusedGraph(of: AttentionCase, data: AttentionData, length: number): OnnxGraph {
  const { kernel, element, rows, total } = of;
  const type = element === "f32" ? "float32" : "float16";
  const cacheDims = [1, kvHeads, total, headSize];
  const isDecode = kernel === "decode";
  // The node appends its new rows to the past ones: in decoding the last row, which the cache holds already.
  const newRows = (values: Float32Array) => {
    const result = new Float32Array(rows * kvHeads * headSize);
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < kvHeads; head++) {
        const source = (head * total + total - rows + row) * headSize;
        result.set(values.subarray(source, source + headSize), (row * kvHeads + head) * headSize);
      }
    }
    return kvArray(element, result);
  };
  const past = isDecode ? ["past_key", "past_value"] : ["", ""];
  const nodes = Array.from({ length }, (_, i): OnnxNode => ({
    operator: "GroupQueryAttention",
    domain: MICROSOFT,
    inputs: [i === 0 ? "query" : `t${i}`, "key", "value", ...past, "last", "total"],
    outputs: [i === length - 1 ? "y" : `t${i + 1}`, `present_key${i}`, `present_value${i}`],
    integers: { num_heads: queryHeads, kv_num_heads: kvHeads },
  }));
  return {
    nodes,
    constants: [
      { name: "last", type: "int32", dims: [1], data: Int32Array.of(total - 1) },
      { name: "total", type: "int32", dims: [], data: Int32Array.of(total) },
    ],
    inputs: [
      { name: "query", type, dims: [1, rows, QUERY_SIZE], data: kvArray(element, data.queries) },
      { name: "key", type, dims: [1, rows, kvHeads * headSize], data: newRows(data.keys) },
      { name: "value", type, dims: [1, rows, kvHeads * headSize], data: newRows(data.values) },
      ...(isDecode
        ? [
          { name: "past_key", type, dims: cacheDims, data: kvArray(element, data.keys) } as const,
          { name: "past_value", type, dims: cacheDims, data: kvArray(element, data.values) } as const,
        ]
        : []),
    ],
    outputs: [
      { name: "y", type, dims: [1, rows, QUERY_SIZE] },
      ...nodes.flatMap((_, i) => [
        { name: `present_key${i}`, type, dims: cacheDims, at: isDecode ? "past_key" : "present_key" } as const,
        { name: `present_value${i}`, type, dims: cacheDims, at: isDecode ? "past_value" : "present_value" } as const,
      ]),
    ],
  };
}

/** Products over one row whose query heads are grouped by KV head, with the keys scaled and transposed beforehand. */
function plainGraph({ element, total }: AttentionCase, data: AttentionData, length: number): OnnxGraph {
  const type = element === "f32" ? "float32" : "float16";
  const keys = new Float32Array(data.keys.length);
  for (let head = 0; head < kvHeads; head++) {
    for (let row = 0; row < total; row++) {
      for (let d = 0; d < headSize; d++) {
        keys[(head * headSize + d) * total + row] = data.keys[(head * total + row) * headSize + d] /
          Math.sqrt(headSize);
      }
    }
  }
  const queryDims = [kvHeads, queryHeads / kvHeads, headSize];
  return {
    nodes: Array.from({ length }, (_, i): OnnxNode[] => [
      { operator: "MatMul", inputs: [i === 0 ? "query" : `t${i}`, "keys"], outputs: [`scores${i}`] },
      { operator: "Softmax", inputs: [`scores${i}`], outputs: [`weights${i}`] },
      { operator: "MatMul", inputs: [`weights${i}`, "values"], outputs: [i === length - 1 ? "y" : `t${i + 1}`] },
    ]).flat(),
    constants: [],
    inputs: [
      { name: "query", type, dims: queryDims, data: kvArray(element, data.queries) },
      { name: "keys", type, dims: [kvHeads, headSize, total], data: kvArray(element, keys) },
      { name: "values", type, dims: [kvHeads, total, headSize], data: kvArray(element, data.values) },
    ],
    outputs: [{ name: "y", type, dims: queryDims }],
  };
}
