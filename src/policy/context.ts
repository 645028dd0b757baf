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
