/**
 * @file Tiny models with random weights, as GGUF and as Hugging Face files: the same options give the same model in both,
 * and the same bytes on every machine (the weights come from integer arithmetic and exactly rounded operations).
 *
 * Weights are scaled so that logits have a deviation of about 2 and attention is far from uniform: an error anywhere in
 * a forward pass shows in the log-probabilities.
 */

import { float32, type GgufWriterTensor, type GgufWriterValue, writeGguf } from "../../src/formats/gguf_writer.ts";
import type { TensorType } from "../../src/formats/model_file.ts";
import { quantise } from "../../src/formats/quantisation.ts";
import { ARCHITECTURES, type LayerTensors, tensorNames } from "../../src/model/architectures.ts";
import type { ArchitectureName, RopeScaling } from "../../src/model/config.ts";
import { ropeFrequencies } from "../../src/model/rope.ts";
import { seededRandom } from "./random.ts";
import { tinyByteLevelGguf, tinyByteLevelJson, tinySentencePiece } from "./tiny_tokenizer.ts";

/** The matrices of a model: what may be stored in another type than F32. */
export type MatrixName = "embedding" | "query" | "key" | "value" | "output" | "gate" | "up" | "down" | "logits";

export interface TinyModelOptions {
  readonly architecture: ArchitectureName;
  readonly seed?: number;
  readonly layers?: number;
  readonly hiddenSize?: number;
  readonly queryHeads?: number;
  readonly kvHeads?: number;
  readonly headSize?: number;
  readonly feedForwardSize?: number;
  readonly vocabulary?: number;
  readonly context?: number;
  readonly ropeBase?: number;
  /** Rotated dimensions of a head; all of them if not given. */
  readonly ropeDimensions?: number;
  readonly ropeScaling?: RopeScaling;
  readonly tied?: boolean;
  /** A bias on queries, keys and values, for architectures that may have one; Qwen2 always has. */
  readonly attentionBias?: boolean;
  /** By layer, factors of the keys: layers then differ in how sharply they attend. 1 for layers that have none. */
  readonly keyGains?: readonly number[];
  /** The type of all matrices, or of some of them. Norms and biases are F32. */
  readonly type?: TensorType | Partial<Record<MatrixName, TensorType>>;
}

const DEFAULTS = {
  seed: 1,
  layers: 2,
  hiddenSize: 64,
  queryHeads: 4,
  kvHeads: 2,
  headSize: 16,
  feedForwardSize: 96,
  vocabulary: 320,
  context: 512,
  ropeBase: 10000,
  ropeScaling: { type: "none" } as RopeScaling,
  tied: false,
  attentionBias: false,
  keyGains: [] as readonly number[],
  type: "F32" as TensorType,
};

const RMS_NORM_EPSILON = 1e-5;

type Model = ReturnType<typeof complete>;

function complete(options: TinyModelOptions) {
  const model = { ...DEFAULTS, ...options };
  const { ropeDimensions = model.headSize } = model;
  const attentionBias = model.attentionBias || ARCHITECTURES[model.architecture].attentionBias === "always";
  return { ...model, ropeDimensions, attentionBias };
}

/** The bytes of a GGUF file, with a tokenizer inside: SentencePiece for Llama and InternLM2, BPE for Qwen. */
export function tinyGguf(options: TinyModelOptions): Uint8Array<ArrayBuffer> {
  const model = complete(options);
  const { architecture } = model;
  const names = tensorNames(architecture, "gguf");
  const adjacent = ARCHITECTURES[architecture].ggufPairing === "adjacent";
  const tensors: GgufWriterTensor[] = weights(model).map(({ layer, name, matrix, shape, values }) => {
    const rotated = ["query", "key", "queryBias", "keyBias"].includes(name);
    return tensor(
      layer === undefined
        ? names[name as "embedding"]
        : `${names.layers}${layer}.${names.layer[name as keyof LayerTensors]}`,
      matrixType(model, matrix),
      shape,
      adjacent && rotated ? pairAdjacently(model, shape, values) : values,
    );
  });
  const factors = ropeFactors(model);
  if (factors !== undefined) tensors.push(tensor("rope_freqs.weight", "F32", [factors.length], factors));
  return writeGguf(ggufMetadata(model), tensors);
}

/**
 * The files of a Hugging Face model directory, by name: `config.json`, `model.safetensors`, `tokenizer.json` and
 * `tokenizer_config.json`. The tokenizer is always a byte-level BPE.
 *
 * @throws {RangeError} when the options name a matrix type that safetensors does not have
 */
export function tinySafetensors(options: TinyModelOptions): Record<string, Uint8Array | string> {
  const model = complete(options);
  const names = tensorNames(model.architecture, "safetensors");
  let all = weights(model);
  if (names.layer.query === names.layer.key) all = packQueryKeyValue(model, all);
  const tensors = all.map(({ layer, name, matrix, shape, values }) =>
    tensor(
      layer === undefined
        ? names[name as "embedding"]
        : `${names.layers}${layer}.${names.layer[name as keyof LayerTensors]}`,
      matrixType(model, matrix),
      shape,
      values,
    )
  );
  return {
    "config.json": JSON.stringify(huggingFaceConfig(model), null, 2),
    "model.safetensors": writeSafetensors(tensors),
    ...tinyByteLevelJson(model.vocabulary),
  };
}

/** A weight by its name in `ModelTensors` or `LayerTensors`, its rows ordered as Hugging Face orders them. */
interface Weight {
  readonly layer?: number;
  readonly name: string;
  /** Which matrix it is, if it is one. */
  readonly matrix?: MatrixName;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

function weights(model: Model): Weight[] {
  const { hiddenSize, feedForwardSize, headSize, vocabulary } = model;
  const queryRows = model.queryHeads * headSize;
  const kvRows = model.kvHeads * headSize;
  const { queryKeyNorm } = ARCHITECTURES[model.architecture];

  const make = (
    name: string,
    shape: number[],
    deviation: number,
    mean: number,
    matrix?: MatrixName,
    layer?: number,
  ) => {
    const values = uniformValues(`${model.seed} ${layer} ${name}`, shape, deviation, mean);
    return { layer, name, matrix, shape, values };
  };
  const layerWeights = (layer: number): Weight[] => {
    const matrix = (name: MatrixName, rows: number, columns: number, gain: number) =>
      make(name, [rows, columns], gain / Math.sqrt(columns), 0, name, layer);
    const vector = (name: keyof LayerTensors, size: number, deviation: number, mean: number) =>
      make(name, [size], deviation, mean, undefined, layer);
    return [
      vector("attentionNorm", hiddenSize, 0.2, 1),
      matrix("query", queryRows, hiddenSize, 1.5),
      matrix("key", kvRows, hiddenSize, 1.5 * (model.keyGains[layer] ?? 1)),
      matrix("value", kvRows, hiddenSize, 1.5),
      ...(model.attentionBias
        ? [
          vector("queryBias", queryRows, 0.3, 0),
          vector("keyBias", kvRows, 0.3, 0),
          vector("valueBias", kvRows, 0.3, 0),
        ]
        : []),
      ...(queryKeyNorm ? [vector("queryNorm", headSize, 0.3, 1.2), vector("keyNorm", headSize, 0.3, 1.2)] : []),
      matrix("output", hiddenSize, queryRows, 1.5),
      vector("feedForwardNorm", hiddenSize, 0.2, 1),
      matrix("gate", feedForwardSize, hiddenSize, 1),
      matrix("up", feedForwardSize, hiddenSize, 1),
      matrix("down", hiddenSize, feedForwardSize, 2),
    ];
  };
  // A tied embedding is also the output, where this size makes the logits' deviation 2.
  const embeddingDeviation = model.tied ? 2 / Math.sqrt(hiddenSize) : 1;
  return [
    make("embedding", [vocabulary, hiddenSize], embeddingDeviation, 0, "embedding"),
    ...Array.from({ length: model.layers }, (_, layer) => layerWeights(layer)).flat(),
    make("outputNorm", [hiddenSize], 0.2, 1),
    ...(model.tied ? [] : [make("output", [vocabulary, hiddenSize], 2 / Math.sqrt(hiddenSize), 0, "logits")]),
  ];
}

/** Uniform rather than normal numbers, because they need no logarithm, whose last bit depends on the machine. */
function uniformValues(seed: string, shape: readonly number[], deviation: number, mean: number): Float32Array {
  const random = seededRandom(hash(seed));
  const width = deviation * Math.sqrt(12);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => mean + width * (random() - 0.5));
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0)!, 0x01000193);
  return value >>> 0;
}

function matrixType({ type }: Model, matrix: MatrixName | undefined): TensorType {
  if (matrix === undefined) return "F32";
  return typeof type === "string" ? type : type[matrix] ?? "F32";
}

function tensor(name: string, type: TensorType, shape: readonly number[], values: Float32Array): GgufWriterTensor {
  return { name, type, shape, data: quantise(type, values) };
}

/** Reorders the rotated rows of every head from (i, i + n/2) pairs to (2i, 2i + 1), as GGUF converters do. */
function pairAdjacently({ headSize, ropeDimensions }: Model, shape: readonly number[], values: Float32Array) {
  const columns = shape[1] ?? 1;
  const result = values.slice();
  for (let head = 0; head < shape[0]; head += headSize) {
    for (let i = 0; i < ropeDimensions; i++) {
      const from = head + (i >> 1) + (i & 1) * ropeDimensions / 2;
      result.set(values.subarray(from * columns, (from + 1) * columns), (head + i) * columns);
    }
  }
  return result;
}

/** InternLM2's packing: for each KV head its query heads, then its key, then its value. */
function packQueryKeyValue(model: Model, all: readonly Weight[]): Weight[] {
  const group = model.queryHeads / model.kvHeads;
  const pack = (layer: number | undefined, suffix: "" | "Bias"): Weight => {
    const part = (name: string) => all.find((weight) => weight.layer === layer && weight.name === name + suffix)!;
    const [query, key, value] = ["query", "key", "value"].map(part);
    const headLength = model.headSize * (query.shape[1] ?? 1);
    const rows: number[] = [];
    for (let head = 0; head < model.kvHeads; head++) {
      rows.push(...query.values.subarray(head * group * headLength, (head + 1) * group * headLength));
      rows.push(...key.values.subarray(head * headLength, (head + 1) * headLength));
      rows.push(...value.values.subarray(head * headLength, (head + 1) * headLength));
    }
    const packedRows = (model.queryHeads + 2 * model.kvHeads) * model.headSize;
    return { ...query, shape: [packedRows, ...query.shape.slice(1)], values: Float32Array.from(rows) };
  };
  return all.flatMap((weight) => {
    if (["key", "value", "keyBias", "valueBias"].includes(weight.name)) return [];
    if (weight.name === "query") return [pack(weight.layer, "")];
    if (weight.name === "queryBias") return [pack(weight.layer, "Bias")];
    return [weight];
  });
}

function ggufMetadata(model: Model): Record<string, GgufWriterValue> {
  const { architecture, ropeScaling } = model;
  const fields: Record<string, GgufWriterValue> = {
    block_count: model.layers,
    context_length: model.context,
    embedding_length: model.hiddenSize,
    feed_forward_length: model.feedForwardSize,
    vocab_size: model.vocabulary,
    "attention.head_count": model.queryHeads,
    "attention.head_count_kv": model.kvHeads,
    "attention.key_length": model.headSize,
    "attention.value_length": model.headSize,
    "attention.layer_norm_rms_epsilon": float32(RMS_NORM_EPSILON),
    "rope.freq_base": float32(model.ropeBase),
    "rope.dimension_count": model.ropeDimensions,
    ...(ropeScaling.type === "linear" && {
      "rope.scaling.type": "linear",
      "rope.scaling.factor": float32(ropeScaling.factor),
    }),
    ...(ropeScaling.type === "yarn" && {
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": float32(ropeScaling.factor),
      "rope.scaling.original_context_length": ropeScaling.originalContext,
      // GGUF's factor comes on top of YaRN's own.
      "rope.scaling.attn_factor": float32(ropeScaling.attentionFactor / (0.1 * Math.log(ropeScaling.factor) + 1)),
      "rope.scaling.yarn_beta_fast": float32(ropeScaling.betaFast),
      "rope.scaling.yarn_beta_slow": float32(ropeScaling.betaSlow),
    }),
  };
  return {
    "general.architecture": architecture,
    "general.name": `tiny ${architecture}`,
    ...Object.fromEntries(Object.entries(fields).map(([key, value]) => [`${architecture}.${key}`, value])),
    ...(architecture.startsWith("qwen") ? tinyByteLevelGguf(model.vocabulary) : tinySentencePiece(model.vocabulary)),
  };
}

/** The tensor with a divisor per frequency, which is how GGUF carries Llama 3.1's scaling. */
function ropeFactors(model: Model): Float32Array | undefined {
  const { ropeScaling: scaling, ropeBase: base, ropeDimensions: dimensions } = model;
  if (scaling.type === "factors") return scaling.factors;
  if (scaling.type === "dynamic") throw new RangeError("GGUF has no dynamic rope scaling");
  if (scaling.type !== "llama3") return undefined;
  const rope = { base, dimensions, pairing: "halves", scaling } as const;
  const scaled = ropeFrequencies(rope, model.context);
  const unscaled = ropeFrequencies({ ...rope, scaling: { type: "none" } }, model.context);
  return Float32Array.from(scaled, (frequency, i) => unscaled[i] / frequency);
}

function huggingFaceConfig(model: Model): Record<string, unknown> {
  const { architecture, ropeScaling } = model;
  const [biasField] = ARCHITECTURES[architecture].biasField;
  return {
    model_type: ARCHITECTURES[architecture].modelTypes[0],
    hidden_act: "silu",
    hidden_size: model.hiddenSize,
    intermediate_size: model.feedForwardSize,
    max_position_embeddings: model.context,
    num_attention_heads: model.queryHeads,
    num_hidden_layers: model.layers,
    num_key_value_heads: model.kvHeads,
    head_dim: model.headSize,
    rms_norm_eps: RMS_NORM_EPSILON,
    rope_theta: model.ropeBase,
    partial_rotary_factor: model.ropeDimensions / model.headSize,
    rope_scaling: ropeScaling.type === "none" ? null : huggingFaceScaling(ropeScaling),
    tie_word_embeddings: model.tied,
    vocab_size: model.vocabulary,
    [biasField]: model.attentionBias,
    eos_token_id: model.vocabulary - 1,
  };
}

function huggingFaceScaling(scaling: RopeScaling): Record<string, unknown> {
  const original = "originalContext" in scaling && { original_max_position_embeddings: scaling.originalContext };
  switch (scaling.type) {
    case "yarn":
      return {
        rope_type: "yarn",
        factor: scaling.factor,
        ...original,
        attention_factor: scaling.attentionFactor,
        beta_fast: scaling.betaFast,
        beta_slow: scaling.betaSlow,
      };
    case "llama3":
      return {
        rope_type: "llama3",
        factor: scaling.factor,
        ...original,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
      };
    case "linear":
    case "dynamic":
      return { rope_type: scaling.type, factor: scaling.factor, ...original };
    default:
      throw new RangeError(`config.json has no rope scaling of type ${scaling.type}`);
  }
}

/** Format: https://github.com/huggingface/safetensors#format */
function writeSafetensors(tensors: readonly GgufWriterTensor[]): Uint8Array<ArrayBuffer> {
  let offset = 0;
  const header = Object.fromEntries(tensors.map(({ name, type, shape, data }) => {
    if (!["F32", "F16", "BF16"].includes(type)) throw new RangeError(`safetensors has no type ${type}`);
    return [name, { dtype: type, shape, data_offsets: [offset, offset += data.byteLength] }];
  }));
  const json = JSON.stringify(header);
  const headerBytes = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const file = new Uint8Array(8 + headerBytes.byteLength + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes.byteLength), true);
  file.set(headerBytes, 8);
  let at = 8 + headerBytes.byteLength;
  for (const { data } of tensors) {
    file.set(data, at);
    at += data.byteLength;
  }
  return file;
}
