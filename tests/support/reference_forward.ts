/**
 * @file A forward pass in plain f64 arithmetic, as slow and as readable as it gets: what the GPU is tested against. It is
 * itself tested against llama.cpp (tests/model/reference_forward_test.ts).
 */

import { openModel } from "../../src/formats/open.ts";
import type { ModelFile } from "../../src/formats/model_file.ts";
import { dequantise } from "../../src/formats/quantisation.ts";
import { elementCount } from "../../src/formats/tensor_types.ts";
import { type LayerTensors, modelTensors, type TensorSlice } from "../../src/architecture/architectures.ts";
import type { ModelConfig } from "../../src/architecture/config.ts";
import { readModelConfig } from "../../src/architecture/read_config.ts";
import { ropeFrequencies } from "../../src/architecture/rope.ts";

export interface ReferenceModel {
  readonly config: ModelConfig;
  readonly embedding: Weight;
  readonly layers: readonly { readonly [name in keyof LayerTensors]: Weight }[];
  readonly outputNorm: Weight;
  readonly output: Weight;
}

export interface ReferenceOptions {
  /** Round keys and values to half precision as they enter the cache. */
  readonly roundCache?: boolean;
  /** The context that dynamic rope scaling adapts to; the model's own if not given. */
  readonly contextLength?: number;
}

export interface ReferenceResult {
  /** For every position, the logits `[vocabularySize]` of the token after it. */
  readonly logits: Float64Array[];
  /** For every layer, what attention sees, heads one after another, rotated where it is rotated. */
  readonly layers: readonly {
    /** For every position `[queryHeadCount * headSize]`. */
    readonly queries: readonly Float64Array[];
    /** For every position `[kvHeadCount * headSize]`. */
    readonly keys: readonly Float64Array[];
    /** For every position `[kvHeadCount * headSize]`. */
    readonly values: readonly Float64Array[];
  }[];
}

/** A weight's elements; a matrix's rows one after another. */
type Weight = Float32Array;

export async function loadReferenceModel(file: ModelFile): Promise<ReferenceModel> {
  const config = await readModelConfig(file);
  const tensors = modelTensors(file, config);
  const load = (slice: TensorSlice) => loadWeight(file, slice);
  const loadLayer = async (layer: LayerTensors) => {
    const loaded = Object.entries(layer).map(async ([name, slice]) => [name, await load(slice)]);
    return Object.fromEntries(await Promise.all(loaded));
  };
  return {
    config,
    embedding: await load(tensors.embedding),
    layers: await Promise.all(tensors.layers.map(loadLayer)),
    outputNorm: await load(tensors.outputNorm),
    output: await load(tensors.output),
  };
}

/** The model in a file. */
export async function openReferenceModel(path: string): Promise<ReferenceModel> {
  const file = await openModel(path);
  try {
    return await loadReferenceModel(file);
  } finally {
    file.close();
  }
}

async function loadWeight(file: ModelFile, { name, rows, shape }: TensorSlice): Promise<Weight> {
  const tensor = file.tensors.get(name)!;
  const all = dequantise(tensor.type, await file.readTensor(name), elementCount(tensor.shape));
  const rowLength = elementCount(tensor.shape.slice(1));
  const weight = new Float32Array(elementCount(shape));
  let at = 0;
  for (const [start, end] of rows) {
    weight.set(all.subarray(start * rowLength, end * rowLength), at);
    at += (end - start) * rowLength;
  }
  return weight;
}

/** The logits after every one of the tokens: see {@linkcode referenceForward}. */
export async function referenceLogits(
  file: ModelFile,
  tokens: readonly number[],
  options?: ReferenceOptions,
): Promise<Float64Array[]> {
  return referenceForward(await loadReferenceModel(file), tokens, options).logits;
}

export function referenceForward(
  model: ReferenceModel,
  tokens: readonly number[],
  options: ReferenceOptions = {},
): ReferenceResult {
  const { config } = model;
  const { hiddenSize, headSize, rmsNormEpsilon } = config;
  const frequencies = ropeFrequencies(config.rope, options.contextLength ?? config.contextLength);
  const enterCache = (row: Float64Array) => options.roundCache ? row.map(Math.f16round) : row;

  const hidden = tokens.map((token) =>
    Float64Array.from(model.embedding.subarray(token * hiddenSize, (token + 1) * hiddenSize))
  );
  const layers = model.layers.map((layer) => {
    const normed = hidden.map((x) => rmsNorm(x, layer.attentionNorm, rmsNormEpsilon));
    const rotatedHeads = (row: Float64Array, norm: Weight | undefined, position: number) => {
      for (let head = 0; head < row.length; head += headSize) {
        const elements = row.subarray(head, head + headSize);
        if (norm) elements.set(rmsNorm(elements, norm, rmsNormEpsilon));
        rotate(elements, position, frequencies, config);
      }
      return row;
    };
    const queries = normed.map((x, position) =>
      rotatedHeads(project(layer.query, x, layer.queryBias), layer.queryNorm, position)
    );
    const keys = normed.map((x, position) =>
      enterCache(rotatedHeads(project(layer.key, x, layer.keyBias), layer.keyNorm, position))
    );
    const values = normed.map((x) => enterCache(project(layer.value, x, layer.valueBias)));

    queries.forEach((query, position) => {
      const attended = attention(query, keys.slice(0, position + 1), values.slice(0, position + 1), config);
      add(hidden[position], project(layer.output, attended, layer.outputBias));
      const x = rmsNorm(hidden[position], layer.feedForwardNorm, rmsNormEpsilon);
      const up = project(layer.up, x);
      const gated = project(layer.gate, x).map((gate, i) => gate / (1 + Math.exp(-gate)) * up[i]);
      add(hidden[position], project(layer.down, gated));
    });
    return { queries, keys, values };
  });
  const logits = hidden.map((x) => project(model.output, rmsNorm(x, model.outputNorm, rmsNormEpsilon)));
  return { logits, layers };
}

/** Attention of one position's query heads to the given keys and values; the heads of a group share a KV head. */
function attention(
  query: Float64Array,
  keys: readonly Float64Array[],
  values: readonly Float64Array[],
  { queryHeadCount, kvHeadCount, headSize }: ModelConfig,
): Float64Array {
  const result = new Float64Array(query.length);
  for (let head = 0; head < queryHeadCount; head++) {
    const at = head * headSize;
    const kvAt = Math.floor(head * kvHeadCount / queryHeadCount) * headSize;
    const scores = keys.map((key) => {
      let score = 0;
      for (let i = 0; i < headSize; i++) score += query[at + i] * key[kvAt + i];
      return score / Math.sqrt(headSize);
    });
    softmax(scores).forEach((probability, position) => {
      for (let i = 0; i < headSize; i++) result[at + i] += probability * values[position][kvAt + i];
    });
  }
  return result;
}

/** Rotates the pairs of one head in place. */
function rotate(head: Float64Array, position: number, frequencies: Float64Array, { rope }: ModelConfig): void {
  const length = rope.scaling.type === "yarn" ? rope.scaling.attentionFactor : 1;
  frequencies.forEach((frequency, i) => {
    const [a, b] = rope.pairing === "adjacent" ? [2 * i, 2 * i + 1] : [i, i + rope.dimensions / 2];
    const cosine = length * Math.cos(position * frequency);
    const sine = length * Math.sin(position * frequency);
    [head[a], head[b]] = [head[a] * cosine - head[b] * sine, head[a] * sine + head[b] * cosine];
  });
}

/** The probabilities of these logits. */
export function softmax(logits: Iterable<number>): Float64Array {
  const all = Float64Array.from(logits);
  const highest = all.reduce((a, b) => Math.max(a, b));
  const weights = all.map((logit) => Math.exp(logit - highest));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

function rmsNorm(x: Float64Array, weight: Weight, epsilon: number): Float64Array {
  const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, i) => value * weight[i] / Math.sqrt(meanSquare + epsilon));
}

/** A matrix `[rows, x.length]` times x, plus a bias `[rows]`. */
function project(matrix: Weight, x: Float64Array, bias?: Weight): Float64Array {
  const result = new Float64Array(matrix.length / x.length);
  for (let row = 0; row < result.length; row++) {
    let sum = bias?.[row] ?? 0;
    for (let i = 0; i < x.length; i++) sum += matrix[row * x.length + i] * x[i];
    result[row] = sum;
  }
  return result;
}

function add(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}
