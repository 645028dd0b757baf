/** @file How tokens are drawn. */

/** How the next token is drawn. All fields are set: defaults are filled in by the caller. */
export interface SamplingParameters {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of most likely tokens whose mass reaches this; 1 keeps all. */
  readonly topP: number;
  /** Drop tokens less likely than this fraction of the most likely one; 0 keeps all. */
  readonly minP: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Divides (positive) or multiplies (negative) logits of tokens seen in the prompt or the output; 1 is off. */
  readonly repetitionPenalty: number;
  /** Added to the logits of single tokens. */
  readonly logitBias: readonly { readonly token: number; readonly bias: number }[];
  /** The only tokens that may be drawn, if not all. */
  readonly allowedTokens?: Uint32Array;
  /** Unsigned 32-bit. */
  readonly seed: number;
}

/** A bias that keeps a token from being drawn; finite, for WGSL knows no infinity. */
export const FORBIDDEN_BIAS = -1e30;

/** How tokens are drawn where a request says nothing of it. */
export type SamplingDefaults = Pick<
  SamplingParameters,
  "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty"
>;

/** Neutral sampling: greedy, nothing filtered. */
export const GREEDY: SamplingParameters = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  seed: 0,
};
