/** @file An engine that plays scripts instead of running a model, for tests of the HTTP layer. */
import { parseBudget } from "../../src/cache/budgets.ts";
import type { Engine, EngineStats, ServedModel } from "../../src/contract/engine.ts";
import { QueueFullError, UnservableRequestError } from "../../src/contract/errors.ts";
import type {
  Continuation,
  GeneratedToken,
  Generation,
  GenerationEvent,
  GenerationRequest,
  KvCacheChoice,
  Resumption,
} from "../../src/contract/generation.ts";

/** Where a generation can be held, and where it can be aborted. */
export type Phase = "queue" | "prefill" | "decode" | "ended";

/** What one sequence does. */
export interface Script {
  /** Tokens to generate; cut at `maxTokens` and behind a stop token. */
  readonly tokens: readonly (number | GeneratedToken)[];
  /** Tokens per event. Default: 1. */
  readonly batch?: number;
  /** Stay here until `release()` or an abort; `decode` is after the first event with tokens. */
  readonly hold?: Exclude<Phase, "ended">;
  /** Count the stop token without reporting it. */
  readonly hideStopToken?: boolean;
  /** Time in the queue, as it is told. */
  readonly waitedSeconds?: number;
  /** Of the tokens that a request gives behind its prompt. */
  readonly logits?: readonly Float32Array[];
  /** Fail with this message where the tokens end. */
  readonly failure?: string;
  /** What a resumable sequence does when it is resumed. Default: nothing. */
  readonly resumed?: (resumption: Resumption) => Pick<Script, "tokens"> & { readonly logits?: readonly Float32Array[] };
  /** Tokens of the prompt that are found in the prefix cache. Default: 0. */
  readonly cachedTokens?: number;
  /** Rows by layer, the first of the prompt, that are told while the prompt is read, before it is held there. */
  readonly reading?: readonly number[];
  /** Milliseconds before every event with tokens. Default: 0. */
  readonly delay?: number;
}

/** How the engine behaves. */
export interface FakeEngineOptions {
  /** What a sequence does; `index` counts sequences from 0. */
  readonly script: (request: GenerationRequest, index: number) => Script;
  /** Sequences taken before the queue counts as full. Default: no limit. */
  readonly capacity?: number;
  /** Default: no limit. */
  readonly maxSequences?: number;
  /** Tokens that the memory has room for behind any prompt. Default: no limit. */
  readonly memoryTokens?: number;
  /** Field of a request that can never run, if any. */
  readonly unservable?: string;
  readonly model?: Partial<ServedModel>;
  readonly defaultKvCache?: KvCacheChoice;
}

const TURNS = 200;
const TURN_MILLISECONDS = 5;

export class FakeEngine implements Engine {
  readonly model: ServedModel;
  readonly device = "a fake";
  readonly defaultKvCache: KvCacheChoice;
  readonly maxSequences: number;
  state: Engine["state"] = "ready";
  /** Every sequence that was taken, in order. */
  readonly generations: FakeGeneration[] = [];
  readonly #options: FakeEngineOptions;

  constructor(options: FakeEngineOptions) {
    this.#options = options;
    this.defaultKvCache = options.defaultKvCache ?? { policy: "dynamickv", budget: 64 };
    this.maxSequences = options.maxSequences ?? Infinity;
    this.model = {
      id: "fake-model",
      contextLength: 256,
      vocabularySize: 300,
      hiddenSize: 4,
      pooling: "mean",
      parameterCount: 1000,
      weightBytes: 4000,
      architecture: "llama",
      quantisation: "F16",
      sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
      ...options.model,
    };
  }

  get requests(): GenerationRequest[] {
    return this.generations.map(({ request }) => request);
  }

  /** The phases in which sequences were aborted before they had ended. */
  get aborts(): Phase[] {
    return this.generations.flatMap(({ abortedIn }) => abortedIn ?? []);
  }

  fittingTokens({ maxTokens }: GenerationRequest): number {
    return Math.min(maxTokens, this.#options.memoryTokens ?? Infinity);
  }

  generate(request: GenerationRequest): FakeGeneration {
    const { capacity = Infinity, unservable, script } = this.#options;
    if (unservable) throw new UnservableRequestError(`${unservable} can never be served`, unservable, "too_large");
    if (this.generations.length >= capacity) throw new QueueFullError("The queue is full; try again soon");
    const generation = new FakeGeneration(request, script(request, this.generations.length));
    this.generations.push(generation);
    return generation;
  }

  /**
   * Resolves when no sequence is running any more. What ends them, an abort or a timer of some milliseconds, takes a few turns of
   * the event loop, however slow the machine: where so many change nothing, an abort has been lost, and it rejects.
   */
  async idle(): Promise<void> {
    for (let turn = 0, before = this.#phases(); this.generations.some(({ phase }) => phase !== "ended"); turn++) {
      if (turn === TURNS) throw new Error(`Sequences are still in ${before}`);
      await new Promise((resolve) => setTimeout(resolve, TURN_MILLISECONDS));
      const now = this.#phases();
      if (now !== before) turn = 0;
      before = now;
    }
  }

  #phases(): string {
    return this.generations.map(({ phase }) => phase).join(", ");
  }

  stats(): Promise<EngineStats> {
    return Promise.resolve({
      running: 2,
      waiting: 3,
      promptTokens: 110,
      generatedTokens: 45,
      decodeSteps: 40,
      submits: 10,
      dispatches: 5000,
      encodeSeconds: 0.25,
      buffersCreated: 70,
      bindGroupsCreated: 80,
      blocksTotal: 100,
      blocksUsed: 25,
      blocksPeak: 60,
      blocksUsedPerLayer: [10, 15],
      blocksCached: 15,
      prefixQueries: 110,
      prefixHits: 48,
      blockBytes: 4096,
      rebalances: 7,
      rebalanceSeconds: 0.5,
      decodeEvictions: 4,
      evictedRowsPerLayer: [30, 60],
      policyFallbacks: { dynamickv: 1 },
      unusableScores: { mine: 8 },
      gpuBytes: 123456,
    });
  }
}

export class FakeGeneration implements Generation {
  readonly events: AsyncIterable<GenerationEvent>;
  /** Resolves with the last event, or when the reader has left. */
  readonly ended: Promise<void>;
  abortedIn: Phase | undefined;
  #phase: Phase = "queue";
  readonly #end: () => void;
  readonly #released = Promise.withResolvers<void>();
  /** How it was resumed, in order. */
  readonly resumptions: Resumption[] = [];
  #wake: () => void = () => {};
  readonly #abort = new AbortController();

  constructor(readonly request: GenerationRequest, readonly script: Script) {
    ({ promise: this.ended, resolve: this.#end } = Promise.withResolvers<void>());
    this.events = this.#play();
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Lets a held script go on. */
  release(): void {
    this.#released.resolve();
  }

  abort(): void {
    if (this.#phase === "ended" || this.abortedIn) return;
    this.abortedIn = this.#phase;
    this.#abort.abort();
    this.release();
    this.#wake();
  }

  resume(resumption: Resumption): void {
    this.resumptions.push(resumption);
    this.#wake();
  }

  async *#play(): AsyncGenerator<GenerationEvent, void> {
    const { request, script: { tokens, batch = 1, cachedTokens = 0, delay = 0, failure } } = this;
    let generated = 0;
    try {
      await this.#holdIn("queue");
      if (this.script.reading) {
        const positions = this.script.reading.map((rows) => [Uint32Array.from({ length: rows }, (_, row) => row)]);
        yield { type: "reading", rowsPerLayer: this.script.reading, share: 0.5, positions };
      }
      await this.#holdIn("prefill");
      if (!this.#abort.signal.aborted) {
        const { waitedSeconds } = this.script;
        const kvCache = usageOf(request);
        yield { type: "prefilled", kvCache, cachedTokens, ...waitedSeconds !== undefined && { waitedSeconds } };
      }
      if (request.embed !== undefined && !failure && !this.#abort.signal.aborted) {
        yield { type: "embedding", values: Float32Array.from({ length: 4 }, (_, i) => request.prompt[i] ?? 0) };
      }
      if (this.script.logits) yield { type: "logits", logits: this.script.logits };
      const planned = this.#plan(tokens, request.maxTokens);
      while (generated < planned.tokens.length && !this.#abort.signal.aborted) {
        const next = planned.tokens.slice(generated, generated + batch);
        if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
        generated += next.length;
        const hidden = this.script.hideStopToken && request.stopTokens.includes(next.at(-1)!.id) ? 1 : 0;
        if (next.length > hidden) yield { type: "tokens", tokens: next.slice(0, next.length - hidden) };
        await this.#holdIn("decode");
      }
      if (request.resumableTokens !== undefined && !failure) yield* this.#pause(planned.reason, generated);
      const aborted = this.#abort.signal.aborted;
      this.#phase = "ended";
      if (aborted) yield { type: "finished", reason: "aborted", completionTokens: generated };
      else if (failure) yield { type: "failed", message: failure };
      else yield { type: "finished", reason: planned.reason, completionTokens: generated };
    } finally {
      this.abort();
      this.#phase = "ended";
      this.#end();
    }
  }

  /** Plays what follows each resumption, until an abort. */
  async *#pause(reason: "stop" | "length", completionTokens: number): AsyncGenerator<GenerationEvent, void> {
    for (let next = 0; !this.#abort.signal.aborted; next++) {
      yield { type: "paused", reason, completionTokens };
      while (this.resumptions.length === next && !this.#abort.signal.aborted) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      const resumption = this.resumptions.at(next);
      if (resumption === undefined) return;
      const { tokens = [], logits = [] } = this.script.resumed?.(resumption) ?? {};
      if (logits.length > 0) yield { type: "logits", logits };
      const planned = this.#plan(tokens, resumption.maxTokens);
      if (planned.tokens.length > 0) yield { type: "tokens", tokens: planned.tokens };
      ({ reason } = planned);
      completionTokens = planned.tokens.length;
    }
  }

  /** The tokens that will come, and why they end. */
  #plan(
    script: Script["tokens"],
    maxTokens: number,
  ): { tokens: GeneratedToken[]; reason: "stop" | "length" } {
    const { stopTokens, topLogprobs } = this.request;
    const tokens = script.slice(0, maxTokens).map((token): GeneratedToken => {
      if (typeof token !== "number") return token;
      if (topLogprobs === undefined) return { id: token };
      const alternatives = Array.from(
        { length: topLogprobs },
        (_, rank) => ({ id: token + rank, logprob: -0.5 - rank }),
      );
      return { id: token, logprob: -0.5, topLogprobs: alternatives };
    });
    const stop = tokens.findIndex(({ id }) => stopTokens.includes(id));
    return stop === -1 ? { tokens, reason: "length" } : { tokens: tokens.slice(0, stop + 1), reason: "stop" };
  }

  async #holdIn(phase: Phase): Promise<void> {
    this.#phase = phase;
    if (this.script.hold === phase) await this.#released.promise;
  }
}

/** Two layers that keep a half and a quarter of the prompt, every other row of it, 8 bytes a row. */
function usageOf({ prompt, kvCache }: GenerationRequest) {
  const rowsPerLayer = [Math.ceil(prompt.length / 2), Math.ceil(prompt.length / 4)];
  return {
    policy: kvCache.policy,
    budget: Math.min(parseBudget(kvCache.budget, prompt.length), prompt.length),
    promptRows: prompt.length,
    rowsPerLayer,
    ...kvCache.report &&
      { positions: rowsPerLayer.map((rows) => [Uint32Array.from({ length: rows }, (_, at) => 2 * at)]) },
    bytes: 8 * (rowsPerLayer[0] + rowsPerLayer[1]),
    fullBytes: 8 * 2 * prompt.length,
  };
}

/** Logits of 300 tokens for a resumption: in each place the next of `tokens` has three quarters of the mass, if there is one. */
export function likelyLogits(
  tokens: readonly number[],
  { tokens: { length }, logitsFrom = 0 }: Continuation,
): Float32Array[] {
  const vocabulary = 300;
  return Array.from({ length: length - logitsFrom }, (_, i) => {
    const logits = new Float32Array(vocabulary);
    logits[tokens[logitsFrom + i]] = Math.log(3 * (vocabulary - 1));
    return logits;
  });
}
