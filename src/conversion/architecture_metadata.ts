/** @file A model's hyperparameters as the metadata of a GGUF file: what `readModelConfig` reads again. */
import type { ModelConfig, RopeConfig } from "../architecture/config.ts";
import { ropeFrequencies } from "../architecture/rope.ts";
import { float32, type GgufWriterValue } from "../formats/gguf_writer.ts";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";

/**
 * The metadata.
 *
 * @throws {ModelFileError} for dynamic scaling of the rotation, which GGUF has no words for
 */
export function architectureMetadata(file: ModelFile, config: ModelConfig): Record<string, GgufWriterValue> {
  const { architecture, rope } = config;
  const fields: Record<string, GgufWriterValue> = {
    block_count: config.layerCount,
    context_length: config.contextLength,
    embedding_length: config.hiddenSize,
    feed_forward_length: config.feedForwardSize,
    vocab_size: config.vocabularySize,
    "attention.head_count": config.queryHeadCount,
    "attention.head_count_kv": config.kvHeadCount,
    "attention.key_length": config.headSize,
    "attention.value_length": config.headSize,
    "attention.layer_norm_rms_epsilon": float32(config.rmsNormEpsilon),
    "rope.freq_base": float32(rope.base),
    "rope.dimension_count": rope.dimensions,
    ...scalingFields(file, rope),
  };
  return {
    "general.architecture": architecture,
    "general.name": config.name,
    ...Object.fromEntries(Object.entries(fields).map(([key, value]) => [`${architecture}.${key}`, value])),
  };
}

function scalingFields(file: ModelFile, { scaling }: RopeConfig): Record<string, GgufWriterValue> {
  switch (scaling.type) {
    case "linear":
      return { "rope.scaling.type": "linear", "rope.scaling.factor": float32(scaling.factor) };
    case "yarn":
      return {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": float32(scaling.factor),
        "rope.scaling.original_context_length": scaling.originalContext,
        // Readers multiply it with what the factor alone asks for.
        "rope.scaling.attn_factor": float32(
          scaling.attentionFactor / (0.1 * Math.log(Math.max(scaling.factor, 1)) + 1),
        ),
        "rope.scaling.yarn_beta_fast": float32(scaling.betaFast),
        "rope.scaling.yarn_beta_slow": float32(scaling.betaSlow),
      };
    case "dynamic":
      throw new ModelFileError(
        `${file.path}: the rotation is scaled dynamically, which GGUF has no words for: serve the folder itself`,
      );
    case "none":
    case "llama3":
    case "factors":
      return {};
    default:
      return scaling satisfies never;
  }
}

/** The divisors of the frequencies, `[dimensions / 2]`, that files carry as a tensor; undefined where there are none. */
export function ropeFactors({ rope, contextLength }: ModelConfig): Float32Array<ArrayBuffer> | undefined {
  if (rope.scaling.type !== "llama3") return undefined;
  const scaled = ropeFrequencies(rope, contextLength);
  const unscaled = ropeFrequencies({ ...rope, scaling: { type: "none" } }, contextLength);
  return Float32Array.from(scaled, (frequency, i) => unscaled[i] / frequency);
}
