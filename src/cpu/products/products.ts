/**
 * @file What a model multiplies by its weights, whatever these are stored as. Everything lies in onnxruntime's memory; addresses are
 * in bytes, rows of f32 one after the other.
 */

import type { Crew } from "../kernels/crew.ts";

/** Norms of queries and keys, `[headSize]` each; null where the model has none. */
export interface QueryKeyNorms {
  readonly queryNorm: Float32Array | null;
  readonly keyNorm: Float32Array | null;
}

/** Most rows of a prompt that are multiplied at once. */
export const TILE_ROWS = 256;

export interface Products {
  /** Threads that compute single rows; null where onnxruntime does that too. */
  readonly crew: Crew | null;
  /** By layer. */
  readonly norms: readonly QueryKeyNorms[];
  /** The weight of the norm before the logits, `[hiddenSize]`. */
  readonly outputNorm: Float32Array;
  /** Writes the embedding of a token: `[hiddenSize]` from element `at` on. */
  embed(token: number, target: Float32Array, at: number): void;
  /** `y = norm(hidden) x query, key and value matrix (+ bias)`. */
  queryKeyValue(layer: number, hidden: number, rows: number, y: number): void;
  /** `hidden += attended x output matrix (+ bias)`, then `hidden += feed-forward(norm(hidden))`. */
  afterAttention(layer: number, attended: number, hidden: number, rows: number): void;
  /** `y = norm(hidden) x output matrix`. */
  logits(hidden: number, rows: number, y: number): void;
  /** Ends threads that it has started. */
  close(): void;
}
