/**
 * @file What the main thread and the engine worker say to each other, and the client's view of it.
 *
 *     routes --GenerationRequest--> EngineClient ~~postMessage~~> worker
 *     routes <--GenerationEvent---- Generation  <~~postMessage~~
 */

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
  /** Unsigned 32-bit. */
  readonly seed: number;
}

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

/** Which KV cache policy a sequence uses, already validated (see plugins/registry.ts). */
export interface KvCacheChoice {
  readonly policy: string;
  /** Mean rows per layer, or a share of the prompt such as `"6.9%"`. Ignored by `full`. */
  readonly budget: number | string;
  /** The policy's own options. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Tokens generated between two evictions; if not given, every row generated is kept. */
  readonly decodeInterval?: number;
}

/** One sequence to generate. */
export interface GenerationRequest {
  /** Token ids of the prompt; at least one. */
  readonly prompt: Uint32Array;
  readonly maxTokens: number;
  /** Tokens that end the generation; they are reported with the final event and count as completion tokens. */
  readonly stopTokens: readonly number[];
  readonly sampling: SamplingParameters;
  /** How many alternatives to report with log-probabilities for each token: undefined none at all, 0 only the chosen. */
  readonly topLogprobs?: number;
  readonly kvCache: KvCacheChoice;
  /** Tokens that are fed behind the prompt, once its cache is compressed, before the first one is drawn. Default: none. */
  readonly continuation?: Continuation;
  /**
   * Lets the generation pause where it would finish, and keep its cache, until it is resumed or aborted. The most tokens,
   * given and drawn, that may ever follow the prompt.
   */
  readonly resumableTokens?: number;
}

/** Tokens that a sequence is given as if it had drawn them. They are not reported and stop nothing. */
export interface Continuation {
  readonly tokens: Uint32Array;
  /**
   * The first of the tokens, counted from 0, from which on logits are reported: those from which each would have been
   * drawn. The first token behind a prompt has none, since it does not depend on what the cache keeps. Default: no logits.
   */
  readonly logitsFrom?: number;
}

/** How a paused generation goes on. */
export interface Resumption {
  /** Forget everything behind the prompt; else what is given follows what was there. */
  readonly rewind: boolean;
  /** What comes next; at least one token. */
  readonly continuation: Continuation;
  /** Tokens to draw behind it; 0 pauses as soon as the logits are known. */
  readonly maxTokens: number;
}

/** One generated token. */
export interface GeneratedToken {
  readonly id: number;
  /** Natural logarithm of the token's probability under the model, before temperature and filters. */
  readonly logprob?: number;
  /** The most likely tokens, most likely first. */
  readonly topLogprobs?: readonly { readonly id: number; readonly logprob: number }[];
}

/** What a sequence's KV cache came to, reported under `usage.kv_cache`. */
export interface KvCacheUsage {
  readonly policy: string;
  /** Rows of the prompt, that is what the full cache would hold per layer. */
  readonly promptRows: number;
  /** Prompt rows kept in each layer; the mean of its KV heads, which can be a fraction. */
  readonly rowsPerLayer: readonly number[];
  /** Prompt rows kept in each KV head of each layer, where the policy allots them so. */
  readonly rowsPerHead?: readonly (readonly number[])[];
  /** Bytes of the kept prompt rows, in whole blocks. */
  readonly bytes: number;
  /** Bytes that the full cache of the prompt would take, in whole blocks. */
  readonly fullBytes: number;
}

/** What a running generation reports, in order; exactly one `finished` or `failed` comes last. */
export type GenerationEvent =
  | { readonly type: "prefilled"; readonly kvCache: KvCacheUsage }
  | { readonly type: "tokens"; readonly tokens: readonly GeneratedToken[] }
  /** The next of the logits that were asked for, `[vocabulary]` each, one for each given token. */
  | { readonly type: "logits"; readonly logits: readonly Float32Array[] }
  /** Where a resumable generation has come to its end, of which there may be more. */
  | { readonly type: "paused"; readonly reason: "stop" | "length"; readonly completionTokens: number }
  /** Rows were evicted, after all tokens reported so far; what each layer holds, without the row of the last token. */
  | { readonly type: "evicted"; readonly rowsPerLayer: readonly number[] }
  | {
    readonly type: "finished";
    readonly reason: "stop" | "length" | "aborted";
    /** How many tokens were generated, the stop token included. */
    readonly completionTokens: number;
  }
  | { readonly type: "failed"; readonly message: string };

/** A generation in flight. */
export interface Generation {
  /** Iterate once. Leaving the loop early aborts the generation. */
  readonly events: AsyncIterable<GenerationEvent>;
  /** Stops the generation; its blocks return to the pool before the next step. Idempotent. */
  abort(): void;
  /**
   * Lets a paused generation go on. Each may pause again.
   *
   * @throws {RangeError} if there is nothing to go on with
   */
  resume(resumption: Resumption): void;
}

/** What the engine reports while it loads a model. */
export interface LoadProgress {
  readonly stage: "tensors" | "shaders";
  /** Tensors uploaded or shaders compiled so far. */
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
  readonly blockBytes: number;
  readonly rebalances: number;
  readonly rebalanceSeconds: number;
  /** Times that rows of a sequence were evicted while it generated. */
  readonly decodeEvictions: number;
  /** Rows that policies dropped, per layer. */
  readonly evictedRowsPerLayer: readonly number[];
  /** Policies that threw or returned nonsense and were replaced by uniform budgets. */
  readonly policyFallbacks: number;
  readonly gpuBytes: number;
}

/** What routes need to know about the served model. */
export interface ServedModel {
  /** The id in `/v1/models`. */
  readonly id: string;
  /** Longest prompt plus completion, in tokens. */
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly parameterCount: number;
  readonly weightBytes: number;
  readonly architecture: string;
  readonly quantisation: string;
  /** What the model's makers recommend, if anything. */
  readonly sampling: SamplingDefaults;
}

/** The queue is full: HTTP 503 with retry-after. */
export class QueueFullError extends Error {
  override name = "QueueFullError";
}

/** The request can never be run, whatever the load: HTTP 400. `field` names the part of the request at fault. */
export class UnservableRequestError extends Error {
  override name = "UnservableRequestError";
  constructor(message: string, readonly field: string, readonly code: string | null = null) {
    super(message);
  }
}

/** The engine as the routes see it. */
export interface Engine {
  readonly model: ServedModel;
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
   * @throws {QueueFullError} @throws {UnservableRequestError}
   */
  generate(request: GenerationRequest): Generation;
  stats(): Promise<EngineStats>;
  /** `ready`, or why not. */
  readonly state: "loading" | "ready" | "draining" | "failed";
}
