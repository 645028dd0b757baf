/**
 * @file Attention as products, for prompts and for single rows alike:
 *
 *     softmax(queries keys^T / sqrt(headSize) + mask) values
 *
 *     queries  [kvHeads, a, b, headSize]    a prompt: a query heads of each group, b rows of a tile
 *                                           a single row: a = 1, and the query heads of the group as rows
 *     keys     [kvHeads, 1, rows, headSize]
 *     mask     [b or 1, rows]               0, or minus infinity where a query does not look
 *
 * onnxruntime's own operator for this, GroupQueryAttention, is many times slower on this backend.
 */
import { type Graph, type GraphNode, type GraphTensor, MICROSOFT } from "../runtime/onnx_model.ts";

const INPUTS = (headSize: number): GraphTensor[] => [
  { name: "queries", shape: ["heads", "a", "b", headSize] },
  { name: "keys", shape: ["heads", 1, "rows", headSize] },
  { name: "mask", shape: ["masked", "rows"] },
];

const logitsNode = (headSize: number, queries: string, logits: string): GraphNode => ({
  operator: "FusedMatMul",
  domain: MICROSOFT,
  inputs: [queries, "keys"],
  outputs: [logits],
  integers: { transB: 1 },
  floats: { alpha: 1 / Math.sqrt(headSize) },
});

const probabilityNodes = (headSize: number): GraphNode[] => [
  logitsNode(headSize, "queries", "logits"),
  { operator: "Add", inputs: ["logits", "mask"], outputs: ["masked logits"] },
  { operator: "Softmax", inputs: ["masked logits"], outputs: ["probabilities"], integers: { axis: 3 } },
];

/** Inputs: queries, keys, mask, values. Output: `[kvHeads, a, b, headSize]`. */
export function attentionGraph(headSize: number): Graph {
  return {
    inputs: [...INPUTS(headSize), { name: "values", shape: ["heads", 1, "rows", headSize] }],
    nodes: [
      ...probabilityNodes(headSize),
      { operator: "MatMul", inputs: ["probabilities", "values"], outputs: ["attended"] },
    ],
    outputs: [{ name: "attended", shape: ["heads", "a", "b", headSize] }],
  };
}

/** Inputs: queries, keys, mask. Output: what each query pays to each row, `[kvHeads, a, b, rows]`. */
export function probabilitiesGraph(headSize: number): Graph {
  return {
    inputs: INPUTS(headSize),
    nodes: probabilityNodes(headSize),
    outputs: [{ name: "probabilities", shape: ["heads", "a", "b", "rows"] }],
  };
}

/** Inputs: queries, keys, mask. Output: what the queries of each KV head pay to each row on average, `[kvHeads, rows]`. */
export function meanAttentionGraph(headSize: number): Graph {
  return {
    inputs: INPUTS(headSize),
    nodes: [
      ...probabilityNodes(headSize),
      {
        operator: "ReduceMean",
        inputs: ["probabilities"],
        outputs: ["means"],
        integers: { axes: [1, 2], keepdims: 0 },
      },
    ],
    outputs: [{ name: "means", shape: ["heads", "rows"] }],
  };
}

/**
 * Inputs: queries, keys, mask, and queries turned to where they are asked again. Output: the most that any of these pays to each row
 * beside what it saw before, `[kvHeads, rows]`.
 */
export function rehearsalGraph(headSize: number): Graph {
  return {
    inputs: [...INPUTS(headSize), { name: "turned", shape: ["heads", "a", "b", headSize] }],
    nodes: [
      logitsNode(headSize, "queries", "logits"),
      { operator: "Add", inputs: ["logits", "mask"], outputs: ["masked logits"] },
      logitsNode(headSize, "turned", "again"),
      { operator: "Concat", inputs: ["again", "masked logits"], outputs: ["both"], integers: { axis: 3 } },
      { operator: "Softmax", inputs: ["both"], outputs: ["probabilities"], integers: { axis: 3 } },
      { operator: "Split", inputs: ["probabilities"], outputs: ["paid again", "paid before"], integers: { axis: 3 } },
      {
        operator: "ReduceMax",
        inputs: ["paid again"],
        outputs: ["most"],
        integers: { axes: [1, 2], keepdims: 0 },
      },
    ],
    outputs: [{ name: "most", shape: ["heads", "rows"] }],
  };
}
