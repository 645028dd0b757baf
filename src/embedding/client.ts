/** @file The encoder as the main thread sees it: a worker, and a queue in which no client waits for all of another's texts. */
import { basename } from "node:path";
import { Worker } from "node:worker_threads";
import type { Encoded, Encoder, EncoderInput, EncoderModel, EncodeTextsOptions } from "../contract/encoder.ts";
import { UnservableRequestError } from "../contract/errors.ts";
import { ModelFileError } from "../formats/model_file.ts";
import { FairQueue } from "../text/fair_queue.ts";
import type {
  EncoderDevice,
  EncoderRequest,
  EncoderTask,
  EncoderWorkerData,
  FromEncoderWorker,
  TaskResult,
} from "./protocol.ts";

/** What may wait: texts, and their lengths in UTF-16 units or tokens. */
const QUEUE_LIMITS = { items: 16_384, cost: 2 ** 26 };

/** What is given to the worker at once: more would only make others wait. */
const ROUND_TASKS = 64;
const ROUND_COST = 32_768;

interface Job {
  readonly task: EncoderTask;
  readonly result: PromiseWithResolvers<TaskResult>;
}

/** An encoder in a worker. Close it in the end. */
export class EncoderClient implements Encoder {
  readonly #worker: Worker;
  readonly #queue = new FairQueue<Job>(QUEUE_LIMITS);
  #running: readonly Job[] = [];
  #failure: Error | undefined;

  private constructor(worker: Worker, readonly model: EncoderModel) {
    this.#worker = worker;
    worker.on("message", (message: FromEncoderWorker) => {
      const jobs = this.#running;
      this.#running = [];
      jobs.forEach(({ result }, at) => {
        if (message.type === "results") result.resolve(message.results[at]);
        else result.reject(new Error("message" in message ? message.message : "the encoder's worker was started anew"));
      });
      this.#startNext();
    });
    worker.on("error", (error: Error) => this.#fail(error));
  }

  /**
   * Loads an encoder.
   *
   * @param folder with `model.onnx` and `tokenizer.json`, see encoder_folder.ts
   * @throws {ModelFileError} when it cannot be run
   */
  static async start(
    folder: string,
    { id = basename(folder), device }: { readonly id?: string; readonly device: EncoderDevice },
  ): Promise<EncoderClient> {
    const workerData: EncoderWorkerData = { path: folder, device };
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData });
    const { promise, resolve, reject } = Promise.withResolvers<Omit<EncoderModel, "id">>();
    worker.once("message", (message: FromEncoderWorker) => {
      if (message.type === "ready") resolve(message.model);
      else reject(new ModelFileError("message" in message ? message.message : "The encoder's worker is out of step"));
    });
    worker.once("error", reject);
    try {
      return new EncoderClient(worker, { id, ...await promise });
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  async embed(texts: readonly EncoderInput[], options: EncodeTextsOptions): Promise<Encoded[]> {
    return await this.#encode(texts.map((input) => ({ input, truncate: options.truncate })), options);
  }

  async score(query: string, documents: readonly string[], options: EncodeTextsOptions): Promise<Encoded[]> {
    const { truncate } = options;
    return await this.#encode(documents.map((second) => ({ input: query, second, truncate })), options);
  }

  /** Ends the worker; what still waits is rejected. */
  close(): void {
    this.#worker.terminate();
    this.#fail(new Error("the encoder was closed"));
  }

  async #encode(tasks: readonly EncoderTask[], { signal, field }: EncodeTextsOptions): Promise<Encoded[]> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const jobs: Job[] = [];
    const giveUp = () => {
      for (const job of jobs) {
        this.#queue.drop(job);
        job.result.reject(signal!.reason);
      }
    };
    try {
      for (const task of tasks) {
        const job = { task, result: Promise.withResolvers<TaskResult>() };
        // Rejected while nobody looks, when another of the request has failed before.
        job.result.promise.catch(() => {});
        this.#queue.add(job, costOf(task), signal);
        jobs.push(job);
      }
      signal?.addEventListener("abort", giveUp);
      this.#startNext();
      const results = await Promise.all(jobs.map(({ result }) => result.promise));
      return results.map((result, at) => {
        if (!("tooLong" in result)) return result;
        const which = tasks.length > 1 ? `${field}[${at}]` : field;
        throw new UnservableRequestError(
          `${which} has ${result.tooLong} tokens, and the model reads at most ${this.model.maximumTokens}: shorten it, or ` +
            "set truncate_prompt_tokens",
          field,
          "context_length_exceeded",
        );
      });
    } catch (error) {
      jobs.forEach((job) => this.#queue.drop(job));
      throw error;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  #startNext(): void {
    if (this.#running.length > 0) return;
    const round: Job[] = [];
    for (let cost = 0; cost < ROUND_COST && round.length < ROUND_TASKS;) {
      const job = this.#queue.take();
      if (job === undefined) break;
      round.push(job);
      cost += costOf(job.task);
    }
    this.#running = round;
    if (round.length === 0) return;
    const request: EncoderRequest = { tasks: round.map(({ task }) => task) };
    this.#worker.postMessage(request);
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { result } of [...this.#running, ...this.#queue.takeAll()]) result.reject(error);
    this.#running = [];
  }
}

function costOf({ input, second = "" }: EncoderTask): number {
  return 1 + input.length + second.length;
}
