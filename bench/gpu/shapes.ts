/** @file The models whose speed is measured, with random weights, and the lengths that they are measured at. */

/** Sizes of a Llama, in elements, and what is asked of it. */
export interface Shape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly feedForwardSize: number;
  readonly vocabulary: number;
  readonly ropeBase: number;
  readonly context: number;
  readonly lengths: Lengths;
}

/** Tokens and streams of the measurements. */
export interface Lengths {
  /** Streams that decode together, fewest first. */
  readonly streams: readonly number[];
  /**
   * Rows of each stream's cache when decoding ends. Tokens that are drawn count, and so do those that a sequence may overrun
   * its end by.
   */
  readonly cacheRows: readonly number[];
  /** Tokens drawn by each stream. */
  readonly decodeTokens: number;
  /** Tokens of prompts, fewest first; the last is the one that policies are compared at. */
  readonly prompts: readonly number[];
  /** Mean rows per layer that policies may keep of it. */
  readonly budget: number;
}

const LENGTHS: Lengths = {
  streams: [1, 4, 8, 16],
  cacheRows: [512, 8192],
  decodeTokens: 128,
  prompts: [512, 4096, 32768],
  budget: 512,
};

export const SHAPES: Readonly<Record<string, Shape>> = {
  "llama-3-8b": {
    layers: 32,
    hiddenSize: 4096,
    queryHeads: 32,
    kvHeads: 8,
    headSize: 128,
    feedForwardSize: 14336,
    vocabulary: 128256,
    ropeBase: 500000,
    context: 131072,
    lengths: LENGTHS,
  },
  "llama-3.2-1b": {
    layers: 16,
    hiddenSize: 2048,
    queryHeads: 32,
    kvHeads: 8,
    headSize: 64,
    feedForwardSize: 8192,
    vocabulary: 128256,
    ropeBase: 500000,
    context: 131072,
    lengths: LENGTHS,
  },
  /** For adapters that compute on the CPU. Its rows are multiples of 256, which the K formats need. */
  "tiny": {
    layers: 2,
    hiddenSize: 256,
    queryHeads: 4,
    kvHeads: 2,
    headSize: 64,
    feedForwardSize: 512,
    vocabulary: 512,
    ropeBase: 10000,
    context: 4096,
    lengths: { streams: [1, 4, 8, 16], cacheRows: [128, 512], decodeTokens: 32, prompts: [128, 512, 2048], budget: 64 },
  },
};

/** What a test can bear. */
export const QUICK_LENGTHS: Lengths = {
  streams: [1, 2],
  cacheRows: [128],
  decodeTokens: 16,
  prompts: [64, 128],
  budget: 32,
};

/** Elements of the matrices that every token is multiplied with: all but the embedding. */
export function multipliedElements(shape: Shape): { layers: number; output: number } {
  const { layers, hiddenSize, queryHeads, kvHeads, headSize, feedForwardSize, vocabulary } = shape;
  const attention = hiddenSize * headSize * (2 * queryHeads + 2 * kvHeads);
  return { layers: layers * (attention + 3 * hiddenSize * feedForwardSize), output: hiddenSize * vocabulary };
}

/** Operations of reading a prompt of `tokens`: products of all tokens, causal attention, the last token's logits. */
export function promptOperations(shape: Shape, tokens: number): number {
  const { layers, output } = multipliedElements(shape);
  const attention = 4 * shape.layers * shape.queryHeads * shape.headSize * tokens * (tokens + 1) / 2;
  return 2 * layers * tokens + attention + 2 * output;
}

/** Bytes of one row of the KV cache, of all layers, with elements of two bytes. */
export function cacheRowBytes({ layers, kvHeads, headSize }: Shape): number {
  return layers * kvHeads * headSize * 2 * 2;
}
