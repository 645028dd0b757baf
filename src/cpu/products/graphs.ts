/**
 * @file What a layer computes before and after its attention, as graphs of onnxruntime. Every weight is an input, so that one
 * session serves all layers; matrices are `[inputs, outputs]`.
 *
 *     hidden -> norm -> query, key, value products (+ bias)                              before
 *     attended -> product (+ bias) + hidden -> norm -> silu(gate) * up -> product + .    after
 */
import type { ModelConfig } from "../../architecture/config.ts";
import { type Graph, type GraphNode, type GraphTensor, MICROSOFT } from "../runtime/onnx_model.ts";

/** Root mean square norm of the last axis. */
export function normNode(input: string, weight: string, output: string, epsilon: number): GraphNode {
  return {
    operator: "SimplifiedLayerNormalization",
    inputs: [input, weight],
    outputs: [output],
    integers: { axis: -1, stash_type: 1 },
    floats: { epsilon },
  };
}

function product(input: string, matrix: string, output: string): GraphNode {
  return { operator: "MatMul", inputs: [input, matrix], outputs: [output] };
}

/** A product, and the bias where there is one. */
function biasedProduct(
  input: string,
  matrix: string,
  bias: string | null,
  output: string,
): GraphNode[] {
  if (bias === null) return [product(input, matrix, output)];
  const unbiased = `${output} without bias`;
  return [
    product(input, matrix, unbiased),
    { operator: "Add", inputs: [unbiased, bias], outputs: [output] },
  ];
}

/** Elements of a row of queries, keys and values. */
export function queryKeyValueSize({ queryHeadCount, kvHeadCount, headSize }: ModelConfig): number {
  return (queryHeadCount + 2 * kvHeadCount) * headSize;
}

/** Inputs: hidden, norm, matrix, bias where the model has one. Output: queries, keys and values of each row. */
export function beforeAttention(config: ModelConfig): Graph {
  const { hiddenSize, rmsNormEpsilon, attentionBias } = config;
  const size = queryKeyValueSize(config);
  const bias: GraphTensor[] = attentionBias ? [{ name: "bias", shape: [size] }] : [];
  return {
    inputs: [
      { name: "hidden", shape: ["rows", hiddenSize] },
      { name: "norm", shape: [hiddenSize] },
      { name: "matrix", shape: [hiddenSize, size] },
      ...bias,
    ],
    nodes: [
      normNode("hidden", "norm", "normed", rmsNormEpsilon),
      ...biasedProduct("normed", "matrix", attentionBias ? "bias" : null, "qkv"),
    ],
    outputs: [{ name: "qkv", shape: ["rows", size] }],
  };
}

/**
 * Inputs: attended, hidden, output matrix, norm, gate, up, down, output bias where the layer has one. Output: hidden, which may
 * lie where the input does.
 */
export function afterAttention(config: ModelConfig, hasBias: boolean): Graph {
  const { hiddenSize, feedForwardSize, queryHeadCount, headSize, rmsNormEpsilon } = config;
  const querySize = queryHeadCount * headSize;
  const bias: GraphTensor[] = hasBias ? [{ name: "bias", shape: [hiddenSize] }] : [];
  return {
    inputs: [
      { name: "attended", shape: ["rows", querySize] },
      { name: "hidden", shape: ["rows", hiddenSize] },
      { name: "output", shape: [querySize, hiddenSize] },
      { name: "norm", shape: [hiddenSize] },
      { name: "gate", shape: [hiddenSize, feedForwardSize] },
      { name: "up", shape: [hiddenSize, feedForwardSize] },
      { name: "down", shape: [feedForwardSize, hiddenSize] },
      ...bias,
    ],
    nodes: [
      ...biasedProduct("attended", "output", hasBias ? "bias" : null, "attention"),
      { operator: "Add", inputs: ["hidden", "attention"], outputs: ["middle"] },
      normNode("middle", "norm", "normed", rmsNormEpsilon),
      product("normed", "gate", "gated"),
      product("normed", "up", "raised"),
      // x * sigmoid(x)
      { operator: "QuickGelu", domain: MICROSOFT, inputs: ["gated"], outputs: ["open"], floats: { alpha: 1 } },
      { operator: "Mul", inputs: ["open", "raised"], outputs: ["activated"] },
      product("activated", "down", "fed"),
      { operator: "Add", inputs: ["middle", "fed"], outputs: ["next"] },
    ],
    outputs: [{ name: "next", shape: ["rows", hiddenSize] }],
  };
}

/** Inputs: hidden, norm, matrix. Output: logits. */
export function logitsGraph({ hiddenSize, vocabularySize, rmsNormEpsilon }: ModelConfig): Graph {
  return {
    inputs: [
      { name: "hidden", shape: ["rows", hiddenSize] },
      { name: "norm", shape: [hiddenSize] },
      { name: "matrix", shape: [hiddenSize, vocabularySize] },
    ],
    nodes: [
      normNode("hidden", "norm", "normed", rmsNormEpsilon),
      product("normed", "matrix", "logits"),
    ],
    outputs: [{ name: "logits", shape: ["rows", vocabularySize] }],
  };
}
