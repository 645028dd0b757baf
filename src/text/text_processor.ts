/** @file Encodes texts without holding up the thread that asks: long ones are encoded in a worker. */

import { Worker } from "node:worker_threads";
import type { ModelFile } from "../formats/model_file.ts";
import type { EncodeReply, EncodeRequest } from "./text_worker.ts";
import { loadTokenizer } from "./load_tokenizer.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** Up to so many UTF-16 units a text is encoded in place: it takes a few milliseconds (byte-level BPE: 2 us a unit). */
const INLINE_LENGTH = 2048;

/** A model's tokenizer whose encoding never blocks for long. */
export interface TextProcessor {
  readonly tokenizer: Tokenizer;
  /** As `tokenizer.encode`. Long texts are encoded one after the other. */
  encode(text: string, options?: EncodeOptions): Promise<Uint32Array<ArrayBuffer>>;
  /** Ends the worker; encodings under way are rejected. Encode nothing more afterwards. */
  close(): void;
}

/**
 * The text processor of a model. Its worker reads the tokenizer from the model's path once more, starting now, so that
 * the first long text need not wait for it; it keeps the process alive only while it has work.
 *
 * @throws {ModelFileError} as {@linkcode loadTokenizer}
 */
export async function createTextProcessor(file: ModelFile): Promise<TextProcessor> {
  const tokenizer = await loadTokenizer(file);
  let worker = new EncodingWorker(file.path);
  return {
    tokenizer,
    async encode(text, options = {}) {
      if (text.length <= INLINE_LENGTH) return tokenizer.encode(text, options);
      if (worker.failed) worker = new EncodingWorker(file.path);
      return await worker.encode(text, options);
    },
    close() {
      worker.close();
    },
  };
}

class EncodingWorker {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PromiseWithResolvers<Uint32Array<ArrayBuffer>>>();
  #nextId = 0;
  failed = false;

  constructor(path: string) {
    // node:worker_threads rather than the web's Worker: only its threads can be told not to keep the process alive.
    this.#worker = new Worker(new URL("./text_worker.ts", import.meta.url), { workerData: { path } });
    this.#worker.unref();
    this.#worker.on("message", (reply: EncodeReply) => {
      const request = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if (this.#pending.size === 0) this.#worker.unref();
      if ("error" in reply) request?.reject(new Error(reply.error));
      else request?.resolve(reply.tokens);
    });
    this.#worker.on("error", (error: Error) => this.#fail(error.message));
  }

  encode(text: string, options: EncodeOptions): Promise<Uint32Array<ArrayBuffer>> {
    const id = this.#nextId++;
    const request = Promise.withResolvers<Uint32Array<ArrayBuffer>>();
    this.#pending.set(id, request);
    this.#worker.ref();
    this.#worker.postMessage({ id, text, options } satisfies EncodeRequest);
    return request.promise;
  }

  close(): void {
    this.#worker.terminate();
    this.#fail("the text processor was closed");
  }

  #fail(reason: string): void {
    this.failed = true;
    for (const request of this.#pending.values()) request.reject(new Error(`Encoding a long text failed: ${reason}`));
    this.#pending.clear();
  }
}
