/** @file The hyperparameters of a decoder-only transformer, the same whichever format and architecture it came from. */

/** Architectures that Ebb runs, named as GGUF's `general.architecture` names them. */
export type ArchitectureName = "llama" | "qwen2" | "qwen3" | "internlm2";

/** Rotary position embedding. */
export interface RopeConfig {
  /** Theta: the base of the geometric series of wavelengths. */
  readonly base: number;
  /** How many leading dimensions of a head are rotated; even, at most the head size. */
  readonly dimensions: number;
  /** Which two elements of a head form a rotated pair: (2i, 2i+1), or (i, i + dimensions/2). */
  readonly pairing: "adjacent" | "halves";
  readonly scaling: RopeScaling;
}

/** How the rotation is stretched beyond the context of the original training. */
export type RopeScaling =
  | { readonly type: "none" }
  | { readonly type: "linear"; readonly factor: number }
  /** NTK-aware scaling; the base grows with the context that is served (Hugging Face `dynamic`). */
  | { readonly type: "dynamic"; readonly factor: number; readonly originalContext: number }
  | {
    readonly type: "yarn";
    readonly factor: number;
    readonly originalContext: number;
    readonly attentionFactor: number;
    readonly betaFast: number;
    readonly betaSlow: number;
  }
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalContext: number;
  }
  /** Explicit divisors per frequency, `[dimensions / 2]` (GGUF's `rope_freqs.weight`). */
  | { readonly type: "factors"; readonly factors: Float32Array };

/** Everything about a model's shape. All sizes are counts of elements. */
export interface ModelConfig {
  readonly architecture: ArchitectureName;
  /** A name for people: the file's own, or its file name without the extension. */
  readonly name: string;
  readonly layerCount: number;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width of the gated feed-forward layer. */
  readonly feedForwardSize: number;
  readonly queryHeadCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  /** Longest sequence the model was trained for, in tokens. */
  readonly contextLength: number;
  readonly rmsNormEpsilon: number;
  readonly rope: RopeConfig;
  /** Whether the query, key and value projections have a bias. */
  readonly attentionBias: boolean;
  /** Whether queries and keys are RMS-normalised per head before the rotation. */
  readonly queryKeyNorm: boolean;
  /** Whether the output projection is the embedding table. */
  readonly tiedEmbeddings: boolean;
}
