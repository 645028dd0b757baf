/** @file Reads a model's hyperparameters from the metadata of a GGUF file or from a Hugging Face config.json. */

import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import { quote } from "../formats/quote.ts";
import { ARCHITECTURES, tensorNames } from "./architectures.ts";
import type { ArchitectureName, ModelConfig, RopeConfig, RopeScaling } from "./config.ts";

/**
 * The hyperparameters of an open model.
 *
 * @throws {ModelFileError} when a field is missing or out of range, or names something that Ebb does not support
 */
export async function readModelConfig(file: ModelFile): Promise<ModelConfig> {
  const config = file.format === "gguf" ? await readGguf(file) : readHuggingFace(file);
  checkSizes(file, config);
  return config;
}

/** A field that, with any other value than these, means a model that is computed differently. */
type Refusal = readonly [field: string, feature: string, ...supported: unknown[]];

/** GGUF fields, without the architecture's prefix. Converters write 0 where a feature is not used. */
const GGUF_REFUSALS: readonly Refusal[] = [
  ["expert_count", "a mixture of experts", 0],
  ["attn_logit_softcapping", "soft-capped attention logits", 0],
  ["final_logit_softcapping", "soft-capped logits", 0],
  ["attention.scale", "a scale of its own for attention", 0],
  ["attention.clamp_kqv", "clamped queries, keys and values", 0],
  ["attention.max_alibi_bias", "ALiBi positions", 0],
  ["attention.causal", "attention to later tokens", true],
  ["attention.temperature_scale", "attention that depends on the position", 0],
  ["use_parallel_residual", "parallel attention and feed-forward", false],
  ["embedding_scale", "scaled embeddings", 0, 1],
  ["residual_scale", "scaled residuals", 0, 1],
  ["logit_scale", "scaled logits", 0, 1],
  ["rope.scaling.yarn_ext_factor", "a partial YaRN ramp", 1, -1],
  ["rope.scaling.yarn_log_multiplier", "YaRN with a log multiplier", 0],
];

/** Fields of config.json. */
const HUGGING_FACE_REFUSALS: readonly Refusal[] = [
  ["hidden_act", "another activation than SiLU", "silu", "swish"],
  ["mlp_bias", "a bias in the feed-forward layer", false],
  ["num_experts", "a mixture of experts", 0, 1],
  ["num_local_experts", "a mixture of experts", 0, 1],
  ["attn_logit_softcapping", "soft-capped attention logits", 0],
  ["final_logit_softcapping", "soft-capped logits", 0],
  ["query_pre_attn_scalar", "a scale of its own for attention"],
  ["attention_multiplier", "a scale of its own for attention"],
  ["embedding_multiplier", "scaled embeddings", 1],
  ["residual_multiplier", "scaled residuals", 1],
  ["logits_scaling", "scaled logits", 1],
  ["quantization_config", "weights quantised for another engine"],
];

async function readGguf(file: ModelFile): Promise<ModelConfig> {
  const general = new Fields(file, "general.");
  const architecture = general.string("architecture");
  if (!isArchitecture(architecture)) throw unknownArchitecture(file, "general.architecture", architecture);
  const { attentionBias, queryKeyNorm } = ARCHITECTURES[architecture];
  const fields = new Fields(file, `${architecture}.`);
  fields.refuse(GGUF_REFUSALS);

  const names = tensorNames(architecture, "gguf");
  const hiddenSize = fields.size("embedding_length");
  const queryHeadCount = fields.size("attention.head_count");
  const headSize = fields.size("attention.key_length", hiddenSize / queryHeadCount);
  const valueSize = fields.size("attention.value_length", headSize);
  if (valueSize !== headSize) {
    throw fields.error("attention.value_length", valueSize, `the size of the keys, ${headSize}`);
  }
  const trainedContext = fields.size("context_length");
  return {
    architecture,
    name: general.string("name", "") || nameOf(file.path),
    layerCount: fields.size("block_count"),
    hiddenSize,
    feedForwardSize: fields.sizeOfAllLayers("feed_forward_length"),
    queryHeadCount,
    kvHeadCount: fields.sizeOfAllLayers("attention.head_count_kv", queryHeadCount),
    headSize,
    vocabularySize: ggufVocabularySize(file, names.embedding),
    contextLength: Math.min(trainedContext, readSlidingWindow(fields, "attention.sliding_window")),
    rmsNormEpsilon: fields.positive("attention.layer_norm_rms_epsilon"),
    rope: await readGgufRope(file, fields, architecture, headSize, trainedContext),
    attentionBias: attentionBias === "always" || file.tensors.has(`${names.layers}0.${names.layer.queryBias}`),
    queryKeyNorm,
    tiedEmbeddings: !file.tensors.has(names.output),
  };
}

/** The rows of the embedding; the tokenizer must not have more tokens than these. */
function ggufVocabularySize(file: ModelFile, embedding: string): number {
  const rows = file.tensors.get(embedding)?.shape[0];
  if (rows === undefined) throw new ModelFileError(`${file.path} has no tensor ${quote(embedding)}: expected one`);
  const tokens = file.metadata["tokenizer.ggml.tokens"];
  if (Array.isArray(tokens) && tokens.length > rows) {
    throw new ModelFileError(
      `${file.path}: "tokenizer.ggml.tokens" has ${tokens.length} tokens, but tensor ${quote(embedding)} only ` +
        `${rows} rows: expected a row for every token`,
    );
  }
  return rows;
}

async function readGgufRope(
  file: ModelFile,
  fields: Fields,
  architecture: ArchitectureName,
  headSize: number,
  trainedContext: number,
): Promise<RopeConfig> {
  const dimensions = fields.size("rope.dimension_count", headSize);
  const scaling = readGgufScaling(fields, trainedContext);
  const factors = await readRopeFactors(file, dimensions);
  if (factors !== undefined && scaling.type !== "none") {
    throw fields.error("rope.scaling.type", scaling.type, 'none beside the tensor "rope_freqs.weight"');
  }
  return {
    base: fields.positive("rope.freq_base", 10000),
    dimensions,
    pairing: ARCHITECTURES[architecture].ggufPairing,
    scaling: factors === undefined ? scaling : { type: "factors", factors },
  };
}

/** As llama.cpp reads it: a factor without a type is linear, and a factor of 0 is none at all. */
function readGgufScaling(fields: Fields, trainedContext: number): RopeScaling {
  const type = fields.string("rope.scaling.type", "linear");
  const factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 0)) || 1;
  if (factor < 0) throw fields.error("rope.scaling.factor", factor, "a positive number");
  const attentionFactor = fields.positive("rope.scaling.attn_factor", 1);
  if (attentionFactor !== 1 && type !== "yarn") {
    throw fields.error("rope.scaling.attn_factor", attentionFactor, `1 with rope.scaling.type ${quote(type)}`);
  }
  switch (type) {
    case "none":
      return { type: "none" };
    case "linear":
      return factor === 1 ? { type: "none" } : { type: "linear", factor };
    case "yarn":
      return {
        type: "yarn",
        factor,
        originalContext: fields.size("rope.scaling.original_context_length", trainedContext),
        attentionFactor: attentionFactor * yarnAttentionFactor(factor),
        // As the file says; llama.cpp takes 32 and 1 for these architectures without looking.
        betaFast: fields.positive("rope.scaling.yarn_beta_fast", 32),
        betaSlow: fields.positive("rope.scaling.yarn_beta_slow", 1),
      };
    default:
      throw fields.error("rope.scaling.type", type, "none, linear or yarn");
  }
}

/** Llama 3.1's scaling, which the converter turns into a divisor for every frequency. */
async function readRopeFactors(file: ModelFile, dimensions: number): Promise<Float32Array | undefined> {
  const name = "rope_freqs.weight";
  const tensor = file.tensors.get(name);
  if (tensor === undefined) return undefined;
  if (tensor.type !== "F32" || tensor.shape.length !== 1 || tensor.shape[0] !== dimensions / 2) {
    throw new ModelFileError(
      `${file.path}: tensor ${quote(name)} is ${tensor.type} [${tensor.shape.join(", ")}]: ` +
        `expected F32 [${dimensions / 2}], a divisor for every pair of the ${dimensions} rotated dimensions`,
    );
  }
  const factors = new Float32Array((await file.readTensor(name)).buffer);
  const bad = factors.findIndex((factor) => !(factor > 0 && factor < Infinity));
  if (bad !== -1) {
    throw new ModelFileError(
      `${file.path}: element ${bad} of tensor ${quote(name)} is ${factors[bad]}: expected a positive number`,
    );
  }
  return factors;
}

function readHuggingFace(file: ModelFile): ModelConfig {
  const fields = new Fields(file, "");
  const modelType = fields.string("model_type");
  const architecture = ARCHITECTURE_NAMES.find((name) => ARCHITECTURES[name].modelTypes.includes(modelType));
  if (architecture === undefined) throw unknownArchitecture(file, "model_type", modelType);
  const { attentionBias, biasField, queryKeyNorm } = ARCHITECTURES[architecture];
  fields.refuse(HUGGING_FACE_REFUSALS);

  const hiddenSize = fields.size("hidden_size");
  const queryHeadCount = fields.size("num_attention_heads");
  const headSize = fields.size("head_dim", hiddenSize / queryHeadCount);
  const trainedContext = fields.size("max_position_embeddings");
  const rope = readHuggingFaceRope(file, fields, headSize, trainedContext);
  // YaRN's context is the stretched one, whether or not max_position_embeddings says so.
  const stretched = rope.scaling.type === "yarn" ? Math.floor(rope.scaling.originalContext * rope.scaling.factor) : 0;
  return {
    architecture,
    name: nameOf(file.path),
    layerCount: fields.size("num_hidden_layers"),
    hiddenSize,
    feedForwardSize: fields.size("intermediate_size"),
    queryHeadCount,
    kvHeadCount: fields.size("num_key_value_heads", queryHeadCount),
    headSize,
    vocabularySize: fields.size("vocab_size"),
    contextLength: Math.min(
      Math.max(trainedContext, stretched),
      fields.boolean("use_sliding_window", true) ? readSlidingWindow(fields, "sliding_window") : Infinity,
    ),
    rmsNormEpsilon: fields.positive("rms_norm_eps", 1e-6),
    rope,
    attentionBias: attentionBias === "always" || fields.boolean(...biasField),
    queryKeyNorm,
    tiedEmbeddings: fields.boolean("tie_word_embeddings", false),
  };
}

/**
 * The context within which the model's attention is full. A sliding window hides nothing from a sequence that fits into
 * it, so a model with one is served up to the window's length. 0 is no window.
 */
function readSlidingWindow(fields: Fields, name: string): number {
  return fields.number(name, 0) === 0 ? Infinity : fields.size(name);
}

/** The dictionary `rope_parameters`, or the older `rope_scaling` with `rope_theta` beside it. */
function readHuggingFaceRope(
  file: ModelFile,
  config: Fields,
  headSize: number,
  trainedContext: number,
): RopeConfig {
  const key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const values = config.dictionary(key);
  const perLayer = Object.entries(values).find(([, value]) => typeof value === "object" && value !== null);
  if (perLayer !== undefined) throw config.error(`${key}.${perLayer[0]}`, perLayer[1], "one rotation for all layers");
  const rope = new Fields(file, `${key}.`, values);
  const rotated = rope.positive("partial_rotary_factor", config.positive("partial_rotary_factor", 1));
  return {
    base: rope.positive("rope_theta", config.positive("rope_theta", 10000)),
    dimensions: Math.floor(headSize * rotated),
    pairing: "halves",
    scaling: readHuggingFaceScaling(rope, trainedContext),
  };
}

/** As modeling_rope_utils.py of the transformers library reads it. */
function readHuggingFaceScaling(rope: Fields, trainedContext: number): RopeScaling {
  const type = rope.string("rope_type", rope.string("type", "default"));
  const originalContext = () => rope.size("original_max_position_embeddings", trainedContext);
  switch (type) {
    case "default":
      return { type: "none" };
    case "linear":
      return { type: "linear", factor: rope.positive("factor") };
    case "dynamic":
      return { type: "dynamic", factor: rope.positive("factor"), originalContext: originalContext() };
    case "llama3": {
      const scaling = {
        type: "llama3",
        factor: rope.positive("factor"),
        lowFrequencyFactor: rope.positive("low_freq_factor"),
        highFrequencyFactor: rope.positive("high_freq_factor"),
        originalContext: rope.size("original_max_position_embeddings"),
      } as const;
      if (scaling.highFrequencyFactor <= scaling.lowFrequencyFactor) {
        throw rope.error("high_freq_factor", scaling.highFrequencyFactor, "more than low_freq_factor");
      }
      return scaling;
    }
    case "yarn": {
      rope.refuse([["truncate", "a YaRN ramp that is not rounded", true]]);
      const factor = rope.positive("factor");
      const mscale = rope.number("mscale", 0);
      const mscaleAllDimensions = rope.number("mscale_all_dim", 0);
      return {
        type: "yarn",
        factor,
        originalContext: originalContext(),
        attentionFactor: rope.positive(
          "attention_factor",
          mscale && mscaleAllDimensions
            ? yarnAttentionFactor(factor, mscale) / yarnAttentionFactor(factor, mscaleAllDimensions)
            : yarnAttentionFactor(factor),
        ),
        betaFast: rope.positive("beta_fast", 32),
        betaSlow: rope.positive("beta_slow", 1),
      };
    }
    default:
      throw rope.error(rope.has("rope_type") ? "rope_type" : "type", type, "default, linear, dynamic, llama3 or yarn");
  }
}

/** Equation 22 of https://arxiv.org/abs/2309.00071: how much longer YaRN makes queries and keys. */
function yarnAttentionFactor(factor: number, scale = 1): number {
  return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
}

/** What holds for every model, whichever format it came in. */
function checkSizes(file: ModelFile, config: ModelConfig): void {
  const { headSize, queryHeadCount, kvHeadCount, layerCount, rope } = config;
  const refuse = (what: string, value: number, expected: string) => {
    throw new ModelFileError(`${file.path}: the ${what} is ${value}: expected ${expected}`);
  };
  if (headSize % 8 !== 0 || headSize > 256) refuse("size of a head", headSize, "a multiple of 8 up to 256");
  if (queryHeadCount % kvHeadCount !== 0) {
    refuse("number of query heads", queryHeadCount, `a multiple of the ${kvHeadCount} KV heads`);
  }
  if (layerCount > file.tensors.size) {
    refuse("number of layers", layerCount, `no more than the ${file.tensors.size} tensors in the file`);
  }
  if (rope.dimensions % 2 !== 0 || rope.dimensions < 4 || rope.dimensions > headSize) {
    refuse("number of rotated dimensions", rope.dimensions, `an even number from 4 to the size of a head, ${headSize}`);
  }
  if (rope.base <= 1) refuse("base of the rotation", rope.base, "a number above 1");
}

const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as ArchitectureName[];

function isArchitecture(name: string): name is ArchitectureName {
  return Object.hasOwn(ARCHITECTURES, name);
}

function unknownArchitecture(file: ModelFile, field: string, value: string): ModelFileError {
  const supported = file.format === "gguf"
    ? ARCHITECTURE_NAMES
    : ARCHITECTURE_NAMES.flatMap((name) => ARCHITECTURES[name].modelTypes);
  return new ModelFileError(
    `${file.path}: "${field}" is ${quote(value)}, which Ebb does not support: expected one of ${supported.join(", ")}`,
  );
}

/** The last part of a path, without an extension. */
function nameOf(path: string): string {
  const last = path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1)!;
  return last.replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
}

const SIZE = "a whole number of at least 1";

/** Typed access to metadata: errors name the field, its value and what was expected. */
class Fields {
  readonly #path: string;
  readonly #prefix: string;
  readonly #values: Readonly<Record<string, unknown>>;

  /** @param values by full name; a nested dictionary by the names inside it */
  constructor(file: ModelFile, prefix: string, values?: Readonly<Record<string, unknown>>) {
    this.#path = file.path;
    this.#prefix = prefix;
    this.#values = values ??
      Object.fromEntries(
        Object.entries(file.metadata)
          .filter(([key]) => key.startsWith(prefix))
          .map(([key, value]) => [key.slice(prefix.length), value]),
      );
  }

  /** Whether the field is there and not null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#values, name) && this.#values[name] !== null;
  }

  /** A whole number of at least 1. */
  size(name: string, missing?: number): number {
    return this.#read(
      name,
      (value): value is number => Number.isSafeInteger(value) && value as number >= 1,
      SIZE,
      missing,
    );
  }

  /** A size that may be given for every layer by itself; all must be the same. */
  sizeOfAllLayers(name: string, missing?: number): number {
    const values = this.#values[name];
    if (!ArrayBuffer.isView(values) && !Array.isArray(values)) return this.size(name, missing);
    const [first, ...others] = Array.from(values as ArrayLike<unknown>);
    if (others.some((value) => value !== first)) {
      throw this.error(name, values, "the same number for all layers, because Ebb supports no others");
    }
    if (!Number.isSafeInteger(first) || first as number < 1) throw this.error(name, values, SIZE);
    return first as number;
  }

  positive(name: string, missing?: number): number {
    return this.#read(
      name,
      (value): value is number => Number.isFinite(value) && value as number > 0,
      "a positive number",
      missing,
    );
  }

  number(name: string, missing?: number): number {
    return this.#read(name, (value): value is number => Number.isFinite(value), "a number", missing);
  }

  string(name: string, missing?: string): string {
    return this.#read(name, (value) => typeof value === "string", "a text", missing);
  }

  boolean(name: string, missing?: boolean): boolean {
    return this.#read(name, (value) => typeof value === "boolean", "true or false", missing);
  }

  dictionary(name: string): Readonly<Record<string, unknown>> {
    return this.#read(
      name,
      (value): value is Record<string, unknown> => typeof value === "object" && !Array.isArray(value),
      "a dictionary",
      {},
    );
  }

  refuse(refusals: readonly Refusal[]): void {
    for (const [name, feature, ...supported] of refusals) {
      if (!this.has(name) || supported.includes(this.#values[name])) continue;
      throw new ModelFileError(
        `${this.#path}: "${this.#prefix}${name}" is ${describe(this.#values[name])}, which means ${feature}: ` +
          `expected a model without it, because Ebb does not support it`,
      );
    }
  }

  error(name: string, value: unknown, expected: string): ModelFileError {
    return new ModelFileError(`${this.#path}: "${this.#prefix}${name}" is ${describe(value)}: expected ${expected}`);
  }

  #read<T>(name: string, accepts: (value: unknown) => value is T, expected: string, missing?: T): T {
    const value = this.has(name) ? this.#values[name] : missing;
    if (value === undefined) {
      throw new ModelFileError(`${this.#path} has no "${this.#prefix}${name}": expected ${expected}`);
    }
    if (value !== missing && !accepts(value)) throw this.error(name, value, expected);
    return value as T;
  }
}

function describe(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a dictionary" : String(value);
}
