/**
 * @file Encodes texts without holding up the thread that asks, or each other: long ones are encoded in a worker, and very long ones
 * in another, so that a text of some pages never waits for a library.
 */

import { Worker } from "node:worker_threads";
import { UnservableRequestError } from "../contract/errors.ts";
import type { ModelFile } from "../formats/model_file.ts";
import { FairQueue } from "./fair_queue.ts";
import { loadTokenizer } from "./load_tokenizer.ts";
import type { EncodeReply, EncodeRequest } from "./text_worker.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** Up to so many UTF-16 units a text is encoded in place: it takes a few milliseconds (byte-level BPE: 2 us a unit). */
const INLINE_LENGTH = 2048;

/** Beyond so many a text goes to the worker of very long ones: it takes more than about a tenth of a second. */
const VERY_LONG = 2 ** 16;

/** What may wait for a worker. In all as many units as four bodies of requests can have. */
const QUEUE_LIMITS = { items: 4096, cost: 2 ** 26 };

/** For whom a text is encoded, and how long it may be. */
export interface EncodeTask extends EncodeOptions {
  /** Aborted when nobody waits for the tokens any more. Texts with the same signal wait for each other. */
  readonly signal?: AbortSignal;
  /** Refuses a text that must have more tokens than this, before it is encoded; `field` is its name in the request. */
  readonly limit?: { readonly tokens: number; readonly field: string };
}

/** A model's tokenizer whose encoding never blocks for long. */
export interface TextProcessor {
  readonly tokenizer: Tokenizer;
  /**
   * As `tokenizer.encode`. Long texts are encoded one after the other, and so are very long ones.
   *
   * @throws {UnservableRequestError} when the text is longer than its limit allows (code `context_length_exceeded`)
   * @throws {QueueFullError} when too much waits already
   * @throws the signal's reason when it is aborted
   */
  encode(text: string, task?: EncodeTask): Promise<Uint32Array<ArrayBuffer>>;
  /** Ends the workers; encodings under way are rejected. Encode nothing more afterwards. */
  close(): void;
}

/** Of a text processor, what the routes use. */
export type TextEncoding = Pick<TextProcessor, "tokenizer" | "encode">;

/**
 * The text processor of a model. Its workers read the tokenizer from the model's path once more: that of long texts now, so that the
 * first one need not wait for it, that of very long ones with the first of them. They keep the process alive only while they have work.
 *
 * @param warn is told what is odd about the file, though it is read. Default: nobody
 * @throws {ModelFileError} as {@linkcode loadTokenizer}
 */
export async function createTextProcessor(file: ModelFile, warn?: (message: string) => void): Promise<TextProcessor> {
  const tokenizer = await loadTokenizer(file, warn);
  const [long, veryLong] = [new Lane(file.path), new Lane(file.path)];
  long.start();
  return {
    tokenizer,
    async encode(text, { signal, limit, ...options } = {}) {
      signal?.throwIfAborted();
      if (limit !== undefined) requireFits(text, limit, tokenizer);
      if (text.length <= INLINE_LENGTH) return tokenizer.encode(text, options);
      return await (text.length <= VERY_LONG ? long : veryLong).start().encode(text, options, signal);
    },
    close() {
      long.close();
      veryLong.close();
    },
  };
}

/** A worker, once there is a need for it, and another one if it fails. */
class Lane {
  #worker: EncodingWorker | undefined;

  constructor(readonly path: string) {}

  start(): EncodingWorker {
    if (this.#worker === undefined || this.#worker.failed) this.#worker = new EncodingWorker(this.path);
    return this.#worker;
  }

  close(): void {
    this.#worker?.close();
  }
}

/** @throws {UnservableRequestError} when even the longest tokens would be too many */
function requireFits(
  text: string,
  { tokens, field }: NonNullable<EncodeTask["limit"]>,
  { longestToken }: Pick<Tokenizer, "longestToken">,
): void {
  if (text.length <= tokens * longestToken) return;
  throw new UnservableRequestError(
    `This model's maximum context length is ${tokens} tokens. However, ${text.length} characters in the ${field} are more ` +
      `than ${Math.floor(text.length / longestToken)} tokens. Shorten the prompt`,
    field,
    "context_length_exceeded",
  );
}

interface Job {
  readonly request: EncodeRequest;
  readonly result: PromiseWithResolvers<Uint32Array<ArrayBuffer>>;
}

class EncodingWorker {
  readonly #worker: Worker;
  readonly #queue = new FairQueue<Job>(QUEUE_LIMITS);
  #running: Job | undefined;
  #nextId = 0;
  failed = false;

  constructor(path: string) {
    // node:worker_threads rather than the web's Worker: only its threads can be told not to keep the process alive.
    this.#worker = new Worker(new URL("./text_worker.ts", import.meta.url), { workerData: { path } });
    this.#worker.unref();
    this.#worker.on("message", (reply: EncodeReply) => {
      const { result } = this.#running!;
      this.#running = undefined;
      this.#startNext();
      if ("error" in reply) result.reject(new Error(reply.error));
      else result.resolve(reply.tokens);
    });
    this.#worker.on("error", (error: Error) => this.#fail(error.message));
  }

  async encode(text: string, options: EncodeOptions, signal?: AbortSignal): Promise<Uint32Array<ArrayBuffer>> {
    const job: Job = { request: { id: this.#nextId++, text, options }, result: Promise.withResolvers() };
    this.#queue.add(job, text.length, signal);
    const giveUp = () => {
      this.#queue.drop(job);
      job.result.reject(signal!.reason);
    };
    signal?.addEventListener("abort", giveUp);
    this.#startNext();
    try {
      return await job.result.promise;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  close(): void {
    this.#worker.terminate();
    this.#fail("the text processor was closed");
  }

  #startNext(): void {
    if (this.#running !== undefined) return;
    this.#running = this.#queue.take();
    if (this.#running === undefined) {
      this.#worker.unref();
      return;
    }
    this.#worker.ref();
    this.#worker.postMessage(this.#running.request);
  }

  #fail(reason: string): void {
    this.failed = true;
    const jobs = [...this.#running === undefined ? [] : [this.#running], ...this.#queue.takeAll()];
    this.#running = undefined;
    for (const { result } of jobs) result.reject(new Error(`Encoding a long text failed: ${reason}`));
  }
}
