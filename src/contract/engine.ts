/** @file The engine as the rest of the program sees it, whatever device computes. */
import type { Generation, GenerationRequest, KvCacheChoice, PromptPooling } from "./generation.ts";
import type { SamplingDefaults } from "./sampling.ts";

/** What the engine reports while it loads a model. */
export interface LoadProgress {
  readonly stage: "tensors" | "shaders" | "kernels";
  /** Tensors uploaded, shaders compiled or kernels run for the first time so far. */
  readonly done: number;
  readonly total: number;
  /** Bytes uploaded so far and in all; for tensors only. */
  readonly bytes?: number;
  readonly totalBytes?: number;
}

/** A snapshot of the engine for `/metrics` and `/health`. Counters count from the start. */
export interface EngineStats {
  readonly running: number;
  readonly waiting: number;
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly decodeSteps: number;
  readonly submits: number;
  readonly dispatches: number;
  /** Time the engine spent recording and submitting, in seconds. */
  readonly encodeSeconds: number;
  /**
   * GPU buffers and bind groups made since the start: constant once the model is loaded, but for sequences that evict while
   * they generate.
   */
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
  readonly blocksTotal: number;
  readonly blocksUsed: number;
  /** The most blocks in use at once. */
  readonly blocksPeak: number;
  readonly blocksUsedPerLayer: readonly number[];
  /** Blocks that the prefix cache keeps; those of them that nobody uses do not count as used. */
  readonly blocksCached: number;
  /** Prompt tokens that were looked for in the prefix cache, and those that were found there and not read again. */
  readonly prefixQueries: number;
  readonly prefixHits: number;
  readonly blockBytes: number;
  readonly rebalances: number;
  readonly rebalanceSeconds: number;
  /** Times that rows of a sequence were evicted while it generated. */
  readonly decodeEvictions: number;
  /** Rows that policies dropped, per layer. */
  readonly evictedRowsPerLayer: readonly number[];
  /** Times that policies threw or returned nonsense and were replaced by uniform budgets, by policy. */
  readonly policyFallbacks: Readonly<Record<string, number>>;
  /** Scores by the kernels of plugins that were no numbers of at least 0 and count as 0, by policy. */
  readonly unusableScores: Readonly<Record<string, number>>;
  readonly gpuBytes: number;
}

/** What routes need to know about the served model. */
export interface ServedModel {
  /** The id in `/v1/models`. */
  readonly id: string;
  /** Longest prompt plus completion, in tokens. */
  readonly contextLength: number;
  readonly vocabularySize: number;
  /** Numbers of a hidden state. */
  readonly hiddenSize: number;
  /** How its makers pool hidden states to a vector of a text. */
  readonly pooling: PromptPooling;
  readonly parameterCount: number;
  readonly weightBytes: number;
  readonly architecture: string;
  readonly quantisation: string;
  /** What the model's makers recommend, if anything. */
  readonly sampling: SamplingDefaults;
}

/** The engine as the routes see it. */
export interface Engine {
  readonly model: ServedModel;
  /** What computes, for people: a GPU's name, or the CPU. */
  readonly device: string;
  /** Policy and budget of requests that name none. */
  readonly defaultKvCache: KvCacheChoice;
  /** Sequences that it holds at once, running and waiting: further ones are refused. */
  readonly maxSequences: number;
  /**
   * The most tokens, up to `request.maxTokens`, that the memory has room for behind the request's prompt; 0 if there is none
   * for the prompt itself.
   *
   * @throws {UnservableRequestError} when the KV cache policy cannot do what is asked of it
   */
  fittingTokens(request: GenerationRequest): number;
  /**
   * Queues a sequence. Validation of the request's shape is the caller's; capacity is the engine's.
   *
   * @throws {QueueFullError} @throws {UnservableRequestError} @throws {EngineUnavailableError}
   */
  generate(request: GenerationRequest): Generation;
  stats(): Promise<EngineStats>;
  /** `ready`, or why not. */
  readonly state: "ready" | "draining" | "restarting" | "failed";
}
