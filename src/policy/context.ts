/** @file What a policy is told of the model and the prompt. */

import type { MessageRange } from "../contract/generation.ts";

/** The shape of the model and of one prompt. */
export interface PolicyContext {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
  /** Rows of a cache block. */
  readonly blockSize: number;
  /** Tokens of the prompt. */
  readonly promptLength: number;
  /** Mean rows per layer, the always kept rows of the window included. */
  readonly budget: number;
  /** Where the messages of the chat are, in order. A prompt that is no chat is one range. */
  readonly messages: readonly MessageRange[];
}

/** The rotary position embedding of a model: pair `f` of a key or query at position `p` is turned by `p * frequencies[f]` radians. */
export interface Rotary {
  /** `[headSize / 2]` */
  readonly frequencies: Float64Array;
  /** Which two elements are a pair: (2i, 2i + 1), or (i, i + headSize / 2). */
  readonly pairing: "adjacent" | "halves";
}

/** The shape of the model and of one prompt, of which a layer has been read. */
export interface LayerContext extends PolicyContext {
  /** Counted from 0. */
  readonly layer: number;
  readonly queryHeadCount: number;
  /** Rows of the prompt before the window. */
  readonly scoredRows: number;
  readonly rotary: Rotary;
}
