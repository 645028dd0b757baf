/** @file Sizes that buffers and kernels of a served model share, derived once from its configuration and the flags. */
import { blockBytes, blocksFor, HEAD_WORDS } from "../cache/block.ts";
import { ModelFileError } from "../formats/model_file.ts";
import { SPLIT_ROWS } from "../kernels/forward/decode_attention.ts";
import { type KvElement, kvElementBytes } from "../kernels/kv_element.ts";
import { paddedColumns } from "../kernels/weight_formats/weight_format.ts";
import type { ModelConfig } from "../architecture/config.ts";

/** How a model is served. */
export interface ServingOptions {
  /** Longest prompt plus completion, in tokens. */
  readonly contextLength: number;
  /** Sequences that decode together. */
  readonly maxBatch: number;
  readonly kvElement: KvElement;
  /** Bytes of the block pool. */
  readonly kvMemory: number;
  /** Bytes of the block pool that may be kept for prompts to come while nobody needs them; 0 if not given. */
  readonly prefixCache?: number;
}

/** Most decode steps that one submit holds: what a sequence may overrun its end by. */
export const MAX_STEPS = 32;
/** Rows of a prefill tile. */
export const PREFILL_TILE_ROWS = 256;
/** Rows of a pack of short prompts, which can be prefilled beside a long one. */
export const SHORT_PACK_ROWS = 1024;

/** Sizes in elements unless said otherwise; strides are padded to 32. */
export interface Dimensions {
  readonly config: ModelConfig;
  readonly maxBatch: number;
  readonly kvElement: KvElement;
  /** Longest prompt plus completion, in tokens. */
  readonly contextLength: number;
  /** Positions that a sequence can reach, overrun included. */
  readonly positions: number;
  /** Prompt rows that can be prefilled at a time: the longest prompt, and room for short ones beside it. */
  readonly packRows: number;
  readonly hiddenStride: number;
  /** Queries, keys and values of a row. */
  readonly queryKeyValueStride: number;
  /** Queries of a row, unpadded. */
  readonly querySize: number;
  /** Attention output of a row. */
  readonly attentionStride: number;
  readonly feedForwardStride: number;
  readonly vocabularyStride: number;
  /** Words of one block table: block ids, and at the end the words of the KV heads. */
  readonly tableStride: number;
  /** Most splits that decode attention can need. */
  readonly maxSplits: number;
  readonly blockBytes: number;
}

/**
 * Derives the {@link Dimensions}.
 *
 * @throws {ModelFileError} when the model rotates only a part of each head, which no kernel does
 */
export function dimensionsOf(config: ModelConfig, serving: ServingOptions): Dimensions {
  const { hiddenSize, queryHeadCount, kvHeadCount, headSize, feedForwardSize, vocabularySize } = config;
  if (config.rope.dimensions !== headSize) {
    throw new ModelFileError(
      `${config.name} rotates ${config.rope.dimensions} of ${headSize} dimensions of a head: partial rotary embeddings are not supported`,
    );
  }
  const positions = serving.contextLength + 2 * MAX_STEPS;
  return {
    config,
    maxBatch: serving.maxBatch,
    kvElement: serving.kvElement,
    contextLength: serving.contextLength,
    positions,
    packRows: serving.contextLength + SHORT_PACK_ROWS,
    hiddenStride: paddedColumns(hiddenSize),
    queryKeyValueStride: paddedColumns((queryHeadCount + 2 * kvHeadCount) * headSize),
    querySize: queryHeadCount * headSize,
    attentionStride: paddedColumns(queryHeadCount * headSize),
    feedForwardStride: paddedColumns(feedForwardSize),
    vocabularyStride: paddedColumns(vocabularySize),
    // Ranked and recent rows each end in a block of their own.
    tableStride: blocksFor(positions) + 2 + HEAD_WORDS * kvHeadCount,
    maxSplits: Math.ceil(positions / SPLIT_ROWS),
    blockBytes: blockBytes(kvHeadCount, headSize, kvElementBytes(serving.kvElement)),
  };
}

/** What the default memory is limited to unless one sequence needs more. */
const DEFAULT_KV_MEMORY = 2 ** 30;

/** Bytes of the block pool where the user names none: what a full batch can need, up to 1 GiB, at least one sequence. */
export function defaultKvMemory(
  config: ModelConfig,
  serving: Omit<ServingOptions, "kvMemory" | "prefixCache">,
): number {
  const { blockBytes, positions } = dimensionsOf(config, { ...serving, kvMemory: 0 });
  const sequence = config.layerCount * (blocksFor(positions) + 2) * blockBytes;
  return Math.max(sequence, Math.min(sequence * serving.maxBatch, DEFAULT_KV_MEMORY));
}

/** The longest context whose prefill fits into this adapter's bindings, in tokens. */
export function contextLimit(config: ModelConfig, kvElement: KvElement, maxBindingBytes: number): number {
  const { hiddenSize, kvHeadCount, headSize } = config;
  const rowBytes = Math.max(
    paddedColumns(hiddenSize) * 4,
    kvHeadCount * headSize * kvElementBytes(kvElement),
    headSize * 4,
  );
  return Math.floor(maxBindingBytes / rowBytes) - SHORT_PACK_ROWS - 2 * MAX_STEPS;
}
