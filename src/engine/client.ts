/** @file The engine as the main thread sees it: starts the worker, checks what can be checked, and routes events. */
import type { Engine, EngineStats, LoadProgress } from "../contract/engine.ts";
import { EngineUnavailableError, QueueFullError, SizeError, UnservableRequestError } from "../contract/errors.ts";
import type {
  Continuation,
  Generation,
  GenerationEvent,
  GenerationRequest,
  KvCacheChoice,
  Resumption,
} from "../contract/generation.ts";
import { ModelFileError } from "../formats/model_file.ts";
import { NoAdapterError } from "../gpu/gpu.ts";
import { endWorker } from "../gpu/worker_end.ts";
import { type PluginBundle, PluginError } from "../policy/loading/plugin_bundle.ts";
import type { PluginFile, PolicyRegistry } from "../policy/registry.ts";
import { closeLater } from "../policy/sandbox/load_plugin.ts";
import type { PackedVocabulary } from "../text/grammar/packed_vocabulary.ts";
import { EventQueue, isLast } from "./event_queue.ts";
import { fittingTokens, forecastRequest, mostNewTokens } from "./forecast.ts";
import { HelperThreads } from "./helper_threads.ts";
import type { EngineFailure, EngineReady, EngineWorkerOptions, FromWorker, ToWorker } from "./protocol.ts";

export type { EngineWorkerOptions } from "./protocol.ts";

/** The GPU engine's thread. */
const GPU_WORKER = new URL("./worker.ts", import.meta.url);

/** What only the client needs to know. */
export interface ClientOptions {
  /** The module of the engine's thread; the GPU engine's by default. */
  readonly thread?: URL;
  readonly defaultKvCache: KvCacheChoice;
  /** What requests choose from; the worker knows the same. */
  readonly policies: PolicyRegistry;
  /** Sequences that may wait for admission; more are refused. */
  readonly maxQueue: number;
  /** The tokenizer's tokens, which are asked for when the first request with a grammar comes. Default: such requests are refused. */
  readonly vocabulary?: () => PackedVocabulary;
  /** Takes a line for people. */
  readonly log?: (message: string) => void;
}

/**
 * Starts an engine worker and waits until it is ready.
 *
 * @throws {ModelFileError} when the model cannot be run @throws {PluginError} when the kernel of a plugin cannot be compiled @throws {NoAdapterError} without a WebGPU adapter
 * @throws {SizeError} when a size does not fit this device
 */
export async function startEngineWorker(
  options: EngineWorkerOptions & ClientOptions,
  onProgress: (progress: LoadProgress) => void = () => {},
): Promise<EngineClient> {
  const { thread = GPU_WORKER, defaultKvCache, policies, maxQueue, vocabulary, log = () => {}, ...workerOptions } =
    options;
  const worker = new Worker(thread, { type: "module" });
  const post = (message: ToWorker) => worker.postMessage(message);
  const helpers = new HelperThreads();
  const ready = await new Promise<EngineReady>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === "progress") onProgress(data.progress);
      if (data.type === "thread") helpers.start(data.thread);
      if (data.type === "log") log(data.message);
      if (data.type === "ready") resolve(data.ready);
      if (data.type === "failed") reject(errorOf(data.failure));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    helpers.failed.then(reject);
    const startOptions = { ...workerOptions, warmUpPolicy: defaultKvCache.policy };
    post({ type: "start", options: startOptions, plugins: bundlesOf(policies) });
  }).catch((error) => {
    endWorker(worker);
    helpers.end();
    throw error;
  });
  return new EngineClient(worker, helpers, post, ready, { defaultKvCache, policies, maxQueue, vocabulary, log });
}

function bundlesOf(policies: PolicyRegistry): PluginBundle[] {
  return policies.files.map(({ bundle }) => bundle);
}

/** What a policy cannot do is the request's fault. */
function unlessUnservable<Result>(forecast: () => Result): Result {
  try {
    return forecast();
  } catch (error) {
    throw new UnservableRequestError((error as Error).message, "kv_cache");
  }
}

/** Errors cross threads as data: gives them back their class. */
function errorOf({ name, message }: EngineFailure): Error {
  const known = [ModelFileError, PluginError, NoAdapterError, SizeError, RangeError].find((type) => type.name === name);
  return known ? new known(message) : new Error(message);
}

export class EngineClient implements Engine {
  readonly model;
  readonly device: string;
  readonly defaultKvCache: KvCacheChoice;
  readonly maxSequences: number;
  state: Engine["state"] = "ready";
  /** Resolves with the reason when the engine dies; never otherwise. */
  readonly failed: Promise<Error>;
  readonly #generations = new Map<number, EventQueue>();
  readonly #statsRequests = new Map<number, PromiseWithResolvers<EngineStats>>();
  readonly #closed: Promise<void>;
  #resolveClosed: () => void = () => {};
  #resolveFailed: (error: Error) => void = () => {};
  #pluginsChanged: PromiseWithResolvers<void> | null = null;
  #nextId = 1;
  #hasVocabulary = false;

  constructor(
    readonly worker: Worker,
    readonly helpers: HelperThreads,
    readonly post: (message: ToWorker) => void,
    readonly ready: EngineReady,
    readonly options: Omit<ClientOptions, "thread"> & Required<Pick<ClientOptions, "log">>,
  ) {
    this.model = ready.model;
    this.device = ready.device;
    this.defaultKvCache = options.defaultKvCache;
    // A full batch is not in the queue.
    this.maxSequences = ready.maxBatch + options.maxQueue;
    this.#closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.failed = new Promise((resolve) => this.#resolveFailed = resolve);
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#onMessage(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(event.message));
    };
    helpers.failed.then((error) => this.#fail(error));
  }

  generate(request: GenerationRequest): Generation {
    this.#check(request);
    if (request.grammar !== undefined) this.#sendVocabulary();
    const id = this.#nextId++;
    const queue = new EventQueue();
    this.#generations.set(id, queue);
    this.post({ type: "generate", id, request });
    const abort = () => {
      if (this.#generations.has(id)) this.post({ type: "abort", id });
    };
    // Tokens behind the prompt that have been asked for, whether they were drawn or not.
    let planned = (request.continuation?.tokens.length ?? 0) + request.maxTokens;
    const resume = (resumption: Resumption) => {
      checkContinuation(resumption.continuation, this.model.vocabularySize);
      const { rewind, continuation: { tokens }, maxTokens } = resumption;
      if (tokens.length === 0) throw new RangeError("Cannot resume a generation without a token to go on with");
      const wanted = (rewind ? 0 : planned) + tokens.length + maxTokens;
      if (wanted > (request.resumableTokens ?? 0)) {
        const { resumableTokens = 0 } = request;
        throw new RangeError(`Cannot resume up to ${wanted} tokens: resumableTokens is ${resumableTokens}`);
      }
      planned = wanted;
      if (this.#generations.has(id)) this.post({ type: "resume", id, resumption });
    };
    return { events: queue.iterate(abort), abort, resume };
  }

  stats(): Promise<EngineStats> {
    if (this.state !== "ready") return Promise.reject(this.#notReady());
    const id = this.#nextId++;
    const request = Promise.withResolvers<EngineStats>();
    this.#statsRequests.set(id, request);
    this.post({ type: "stats", id });
    return request.promise;
  }

  /** Ends what still runs and gives back the GPU and the thread. Idempotent. */
  async close(): Promise<void> {
    if (this.state === "ready") {
      this.state = "draining";
      this.post({ type: "close" });
    }
    await this.#closed;
    endWorker(this.worker);
    this.helpers.end();
  }

  /**
   * Has requests choose from other plugins; those that run finish with what they have.
   *
   * @throws {PluginError} when the kernel of a plugin cannot be compiled; then nothing has changed
   * @throws {TypeError} as {@link PolicyRegistry.setFiles}
   */
  async changePlugins(files: readonly PluginFile[]): Promise<void> {
    // Here first, where a clash of names changes nothing.
    const { policies } = this.options;
    const before = policies.files;
    policies.setFiles(files);
    this.#pluginsChanged = Promise.withResolvers();
    this.post({ type: "plugins", plugins: files.map(({ bundle }) => bundle) });
    try {
      await this.#pluginsChanged.promise;
      closeLater(before);
    } catch (error) {
      policies.setFiles(before);
      throw error;
    }
  }

  fittingTokens(request: GenerationRequest): number {
    return unlessUnservable(() =>
      fittingTokens(request, this.ready.cache, this.options.policies, this.ready.largestArena)
    );
  }

  /** Once. */
  #sendVocabulary(): void {
    if (this.#hasVocabulary) return;
    this.#hasVocabulary = true;
    this.post({ type: "vocabulary", vocabulary: this.options.vocabulary!() });
  }

  #notReady(): Error {
    return new EngineUnavailableError(this.state === "failed" ? "The engine has failed" : "The engine was closed");
  }

  #check(request: GenerationRequest): void {
    if (this.state !== "ready") throw this.#notReady();
    const { prompt, continuation } = request;
    const { contextLength } = this.model;
    if (prompt.length === 0) {
      throw new UnservableRequestError("The prompt is empty: expected at least one token", "prompt");
    }
    try {
      if (continuation !== undefined) checkContinuation(continuation, this.model.vocabularySize);
    } catch (error) {
      throw new UnservableRequestError((error as Error).message, "continuation");
    }
    if (request.grammar !== undefined && this.options.vocabulary === undefined) {
      throw new UnservableRequestError("The engine was given no vocabulary to follow a grammar with", "grammar");
    }
    const behind = mostNewTokens(request);
    if (prompt.length + behind > contextLength) {
      throw new UnservableRequestError(
        `The prompt has ${prompt.length} tokens and max_tokens is ${behind}: expected at most ${contextLength} in all`,
        "prompt",
        "context_length_exceeded",
      );
    }
    const { blocks } = unlessUnservable(() => forecastRequest(request, this.ready.cache, this.options.policies));
    if (blocks > this.ready.largestArena) {
      const mebibytes = (count: number) => `${Math.ceil(count * this.ready.blockBytes / 2 ** 20)} MiB`;
      throw new UnservableRequestError(
        `The request can need ${mebibytes(blocks)} of KV cache and the server has ${
          mebibytes(this.ready.largestArena)
        }: lower max_tokens or kv_cache.budget, or raise --kv-memory`,
        "max_tokens",
        "kv_memory_exceeded",
      );
    }
    if (this.#generations.size >= this.maxSequences) {
      throw new QueueFullError(`The queue is full: ${this.options.maxQueue} requests are waiting`);
    }
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case "events":
        for (const { id, event } of message.events) this.#onEvent(id, event);
        break;
      case "stats":
        this.#statsRequests.get(message.id)?.resolve(message.stats);
        this.#statsRequests.delete(message.id);
        break;
      case "log":
        this.options.log(message.message);
        break;
      case "plugins":
        if (message.failure === null) this.#pluginsChanged?.resolve();
        else this.#pluginsChanged?.reject(errorOf(message.failure));
        break;
      case "failed":
        this.#fail(errorOf(message.failure));
        break;
      case "closed":
        this.#endAll("The engine was closed");
        this.#resolveClosed();
        break;
      case "thread":
        this.helpers.start(message.thread);
        break;
      // Of the start, which is over.
      case "progress":
      case "ready":
        break;
      default:
        message satisfies never;
    }
  }

  #onEvent(id: number, event: GenerationEvent): void {
    const queue = this.#generations.get(id);
    if (queue === undefined) return;
    if (isLast(event)) this.#generations.delete(id);
    queue.push(event);
  }

  #fail(error: Error): void {
    this.state = "failed";
    this.#endAll(error.message);
    this.#resolveFailed(error);
    this.#resolveClosed();
  }

  #endAll(message: string): void {
    for (const id of [...this.#generations.keys()]) this.#onEvent(id, { type: "failed", message });
    for (const request of this.#statsRequests.values()) request.reject(new Error(message));
    this.#statsRequests.clear();
  }
}

/** @throws {RangeError} */
function checkContinuation({ tokens }: Continuation, vocabularySize: number): void {
  const unknown = tokens.find((token) => token >= vocabularySize);
  if (unknown === undefined) return;
  throw new RangeError(`The continuation has the token ${unknown}: expected ids below ${vocabularySize}`);
}
