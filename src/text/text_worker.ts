/** @file The worker behind text_processor.ts: loads the tokenizer of the model it is told, then encodes texts in turn. */

import { parentPort, workerData } from "node:worker_threads";
import { openModel } from "../formats/open.ts";
import { loadTokenizer } from "./load_tokenizer.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** A text to encode. */
export interface EncodeRequest {
  readonly id: number;
  readonly text: string;
  readonly options: EncodeOptions;
}

/** Its tokens, or why there are none. */
export type EncodeReply =
  | { readonly id: number; readonly tokens: Uint32Array<ArrayBuffer> }
  | { readonly id: number; readonly error: string };

const tokenizer = load(workerData.path);
// A failure to load is reported with each request.
tokenizer.catch(() => {});

parentPort!.on("message", async ({ id, text, options }: EncodeRequest) => {
  try {
    const tokens = (await tokenizer).encode(text, options);
    reply({ id, tokens }, [tokens.buffer]);
  } catch (error) {
    reply({ id, error: (error as Error).message });
  }
});

async function load(path: string): Promise<Tokenizer> {
  const file = await openModel(path);
  try {
    return await loadTokenizer(file);
  } finally {
    file.close();
  }
}

function reply(message: EncodeReply, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer);
}
