/**
 * @file The architectures that Ebb runs, as data: what tells one from another, and where each keeps its weights.
 *
 * All of them are the same transformer: RMS norm, grouped-query attention with RoPE, RMS norm, gated SiLU feed-forward.
 * They differ in whether the projections have a bias, in whether queries and keys are normalised, in how RoPE pairs a
 * head's elements, and in names. read_config.ts reads sizes from a file's metadata with this table.
 */

import { quote } from "../formats/quote.ts";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import type { ArchitectureName, ModelConfig, RopeConfig } from "./config.ts";

export interface Architecture {
  /** The `model_type` values of a Hugging Face config.json that mean this architecture. */
  readonly modelTypes: readonly string[];
  /** How the rows of query and key weights are ordered in a GGUF file; Hugging Face's files always hold halves. */
  readonly ggufPairing: RopeConfig["pairing"];
  /** Whether query, key and value projections have a bias in every model, or in those that say so. */
  readonly attentionBias: "always" | "declared";
  /** The field of config.json that declares the bias, and what it is taken for where it is missing. */
  readonly biasField: readonly [name: string, missing: boolean];
  readonly queryKeyNorm: boolean;
  readonly huggingFaceNames: TensorNames;
}

/** What the tensors of a format are called. */
export interface TensorNames {
  readonly embedding: string;
  readonly outputNorm: string;
  readonly output: string;
  /** What precedes the number of a layer; the number is followed by a dot and a name out of `layer`. */
  readonly layers: string;
  /** Where query, key and value have the same name, the tensor is packed: see {@linkcode packedRows}. */
  readonly layer: Readonly<Record<keyof LayerTensors, string>>;
}

const GGUF_NAMES: TensorNames = {
  embedding: "token_embd.weight",
  outputNorm: "output_norm.weight",
  output: "output.weight",
  layers: "blk.",
  layer: {
    attentionNorm: "attn_norm.weight",
    query: "attn_q.weight",
    key: "attn_k.weight",
    value: "attn_v.weight",
    queryBias: "attn_q.bias",
    keyBias: "attn_k.bias",
    valueBias: "attn_v.bias",
    queryNorm: "attn_q_norm.weight",
    keyNorm: "attn_k_norm.weight",
    output: "attn_output.weight",
    outputBias: "attn_output.bias",
    feedForwardNorm: "ffn_norm.weight",
    gate: "ffn_gate.weight",
    up: "ffn_up.weight",
    down: "ffn_down.weight",
  },
};

/** Hugging Face's names for Llama, which Mistral and Qwen share. */
const LLAMA_NAMES: TensorNames = {
  embedding: "model.embed_tokens.weight",
  outputNorm: "model.norm.weight",
  output: "lm_head.weight",
  layers: "model.layers.",
  layer: {
    attentionNorm: "input_layernorm.weight",
    query: "self_attn.q_proj.weight",
    key: "self_attn.k_proj.weight",
    value: "self_attn.v_proj.weight",
    queryBias: "self_attn.q_proj.bias",
    keyBias: "self_attn.k_proj.bias",
    valueBias: "self_attn.v_proj.bias",
    queryNorm: "self_attn.q_norm.weight",
    keyNorm: "self_attn.k_norm.weight",
    output: "self_attn.o_proj.weight",
    outputBias: "self_attn.o_proj.bias",
    feedForwardNorm: "post_attention_layernorm.weight",
    gate: "mlp.gate_proj.weight",
    up: "mlp.up_proj.weight",
    down: "mlp.down_proj.weight",
  },
};

const INTERNLM2_NAMES: TensorNames = {
  embedding: "model.tok_embeddings.weight",
  outputNorm: "model.norm.weight",
  output: "output.weight",
  layers: "model.layers.",
  layer: {
    ...LLAMA_NAMES.layer,
    attentionNorm: "attention_norm.weight",
    query: "attention.wqkv.weight",
    key: "attention.wqkv.weight",
    value: "attention.wqkv.weight",
    queryBias: "attention.wqkv.bias",
    keyBias: "attention.wqkv.bias",
    valueBias: "attention.wqkv.bias",
    output: "attention.wo.weight",
    outputBias: "attention.wo.bias",
    feedForwardNorm: "ffn_norm.weight",
    gate: "feed_forward.w1.weight",
    up: "feed_forward.w3.weight",
    down: "feed_forward.w2.weight",
  },
};

export const ARCHITECTURES: Readonly<Record<ArchitectureName, Architecture>> = {
  llama: {
    modelTypes: ["llama", "mistral"],
    ggufPairing: "adjacent",
    attentionBias: "declared",
    biasField: ["attention_bias", false],
    queryKeyNorm: false,
    huggingFaceNames: LLAMA_NAMES,
  },
  qwen2: {
    modelTypes: ["qwen2"],
    ggufPairing: "halves",
    attentionBias: "always",
    biasField: ["attention_bias", true],
    queryKeyNorm: false,
    huggingFaceNames: LLAMA_NAMES,
  },
  qwen3: {
    modelTypes: ["qwen3"],
    ggufPairing: "halves",
    attentionBias: "declared",
    biasField: ["attention_bias", false],
    queryKeyNorm: true,
    huggingFaceNames: LLAMA_NAMES,
  },
  internlm2: {
    modelTypes: ["internlm2"],
    ggufPairing: "adjacent",
    attentionBias: "declared",
    biasField: ["bias", true],
    queryKeyNorm: false,
    huggingFaceNames: INTERNLM2_NAMES,
  },
};

/** What an architecture's tensors are called in a format. */
export function tensorNames(architecture: ArchitectureName, format: ModelFile["format"]): TensorNames {
  return format === "gguf" ? GGUF_NAMES : ARCHITECTURES[architecture].huggingFaceNames;
}

/** A weight: a whole tensor, or some rows of one. */
export interface TensorSlice {
  /** The tensor's name in the file. */
  readonly name: string;
  /** Shape of the weight, outermost dimension first: `[rows, columns]` or `[rows]`. */
  readonly shape: readonly number[];
  /** The rows of the tensor that make up the weight, in order, as ranges `[start, end)`. */
  readonly rows: readonly RowRange[];
}

export type RowRange = readonly [start: number, end: number];

/** Sizes: see {@linkcode ModelConfig}; heads are `queryHeadCount` or `kvHeadCount` times `headSize` rows. */
export interface LayerTensors {
  /** `[hiddenSize]` */
  readonly attentionNorm: TensorSlice;
  /** `[query heads, hiddenSize]` */
  readonly query: TensorSlice;
  /** `[KV heads, hiddenSize]` */
  readonly key: TensorSlice;
  /** `[KV heads, hiddenSize]` */
  readonly value: TensorSlice;
  /** `[query heads]` */
  readonly queryBias?: TensorSlice;
  /** `[KV heads]` */
  readonly keyBias?: TensorSlice;
  /** `[KV heads]` */
  readonly valueBias?: TensorSlice;
  /** `[headSize]`, the same for all heads */
  readonly queryNorm?: TensorSlice;
  /** `[headSize]`, the same for all heads */
  readonly keyNorm?: TensorSlice;
  /** `[hiddenSize, query heads]` */
  readonly output: TensorSlice;
  /** `[hiddenSize]` */
  readonly outputBias?: TensorSlice;
  /** `[hiddenSize]` */
  readonly feedForwardNorm: TensorSlice;
  /** `[feedForwardSize, hiddenSize]` */
  readonly gate: TensorSlice;
  /** `[feedForwardSize, hiddenSize]` */
  readonly up: TensorSlice;
  /** `[hiddenSize, feedForwardSize]` */
  readonly down: TensorSlice;
}

export interface ModelTensors {
  /** `[vocabularySize, hiddenSize]` */
  readonly embedding: TensorSlice;
  readonly layers: readonly LayerTensors[];
  /** `[hiddenSize]` */
  readonly outputNorm: TensorSlice;
  /** `[vocabularySize, hiddenSize]`; the embedding itself where the two are tied */
  readonly output: TensorSlice;
}

/** Tensors that may be in a file although nothing reads them: rotation tables, which are computed here. */
const IGNORED_TENSORS = [/\.rotary_emb\.inv_freq$/, /\.attn_rot_embd\.weight$/, /^rope_freqs\.weight$/];

/**
 * Where every weight of a model lies in its file.
 *
 * @throws {ModelFileError} when a tensor is missing, has another shape than the model needs, or has no place in the
 *   architecture: a file with more tensors is a model that this architecture would compute wrongly
 */
export function modelTensors(file: ModelFile, config: ModelConfig): ModelTensors {
  const names = tensorNames(config.architecture, file.format);
  const { hiddenSize, feedForwardSize, vocabularySize, headSize } = config;
  const queryRows = config.queryHeadCount * headSize;
  const kvRows = config.kvHeadCount * headSize;
  const used = new Set<string>();

  const weight = (name: string, shape: readonly number[], rows?: readonly RowRange[]): TensorSlice => {
    const tensorRows = rows === undefined ? shape[0] : queryRows + 2 * kvRows;
    checkTensor(file, name, [tensorRows, ...shape.slice(1)]);
    used.add(name);
    return { name, shape, rows: rows ?? [[0, tensorRows]] };
  };

  const layers = Array.from({ length: config.layerCount }, (_, layer): LayerTensors => {
    const name = (weight: keyof LayerTensors) => `${names.layers}${layer}.${names.layer[weight]}`;
    const rows = names.layer.query === names.layer.key ? packedRows(config) : undefined;
    return {
      attentionNorm: weight(name("attentionNorm"), [hiddenSize]),
      query: weight(name("query"), [queryRows, hiddenSize], rows?.query),
      key: weight(name("key"), [kvRows, hiddenSize], rows?.key),
      value: weight(name("value"), [kvRows, hiddenSize], rows?.value),
      ...(config.attentionBias && {
        queryBias: weight(name("queryBias"), [queryRows], rows?.query),
        keyBias: weight(name("keyBias"), [kvRows], rows?.key),
        valueBias: weight(name("valueBias"), [kvRows], rows?.value),
      }),
      ...(config.queryKeyNorm && {
        queryNorm: weight(name("queryNorm"), [headSize]),
        keyNorm: weight(name("keyNorm"), [headSize]),
      }),
      output: weight(name("output"), [hiddenSize, queryRows]),
      ...(file.tensors.has(name("outputBias")) && { outputBias: weight(name("outputBias"), [hiddenSize]) }),
      feedForwardNorm: weight(name("feedForwardNorm"), [hiddenSize]),
      gate: weight(name("gate"), [feedForwardSize, hiddenSize]),
      up: weight(name("up"), [feedForwardSize, hiddenSize]),
      down: weight(name("down"), [hiddenSize, feedForwardSize]),
    };
  });
  const embedding = weight(names.embedding, [vocabularySize, hiddenSize]);
  const outputNorm = weight(names.outputNorm, [hiddenSize]);
  const output = config.tiedEmbeddings ? embedding : weight(names.output, [vocabularySize, hiddenSize]);
  // A file may hold a copy of the embedding that it says the output is tied to.
  used.add(names.output);

  for (const name of file.tensors.keys()) {
    if (used.has(name) || IGNORED_TENSORS.some((pattern) => pattern.test(name))) continue;
    throw new ModelFileError(
      `${file.path}: tensor ${quote(name)} has no place in a model of architecture ${config.architecture} with ` +
        `${config.layerCount} layers: expected a model that Ebb supports`,
    );
  }
  return { embedding, layers, outputNorm, output };
}

function checkTensor(file: ModelFile, name: string, expected: readonly number[]): void {
  const tensor = file.tensors.get(name);
  if (tensor === undefined) {
    throw new ModelFileError(
      `${file.path} has no tensor ${quote(name)}: expected one of shape [${expected.join(", ")}]`,
    );
  }
  if (tensor.shape.length !== expected.length || tensor.shape.some((size, i) => size !== expected[i])) {
    throw new ModelFileError(
      `${file.path}: tensor ${quote(name)} has the shape [${tensor.shape.join(", ")}]: ` +
        `expected [${expected.join(", ")}]`,
    );
  }
}

/**
 * The rows of a packed projection (InternLM2's `wqkv`): for each KV head its query heads, then its key, then its value.
 */
function packedRows(config: ModelConfig): { query: RowRange[]; key: RowRange[]; value: RowRange[] } {
  const { queryHeadCount, kvHeadCount, headSize } = config;
  const queryRows = queryHeadCount / kvHeadCount * headSize;
  const groupRows = queryRows + 2 * headSize;
  const eachGroup = (from: number, to: number) =>
    Array.from({ length: kvHeadCount }, (_, head): RowRange => [head * groupRows + from, head * groupRows + to]);
  return {
    query: eachGroup(0, queryRows),
    key: eachGroup(queryRows, queryRows + headSize),
    value: eachGroup(queryRows + headSize, groupRows),
  };
}
