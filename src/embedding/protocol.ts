/** @file What the encoder's client and its worker say to each other. */
import type { EncoderInput, EncoderModel } from "../contract/encoder.ts";

/** What computes: WebGPU's adapter, or the CPU. */
export type EncoderDevice = "gpu" | "cpu";

/** What the worker is started with. */
export interface EncoderWorkerData {
  /** The encoder's folder. */
  readonly path: string;
  readonly device: EncoderDevice;
}

/** One text, or a pair. */
export interface EncoderTask {
  readonly input: EncoderInput;
  /** The second text of a pair. */
  readonly second?: string;
  /** Most tokens that are read; without it, longer texts are refused. */
  readonly truncate?: number;
}

/** To the worker: tasks to be run together. */
export interface EncoderRequest {
  readonly tasks: readonly EncoderTask[];
}

/** What a task came to; `tooLong` where it has more tokens than are read. */
export type TaskResult =
  | { readonly values: Float32Array; readonly tokens: number }
  | { readonly tooLong: number };

/** From the worker: that it is ready, why it is not, or what a request came to, in the order of its tasks. */
export type FromEncoderWorker =
  | { readonly type: "ready"; readonly model: Omit<EncoderModel, "id"> }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "results"; readonly results: readonly TaskResult[] }
  | { readonly type: "error"; readonly message: string };
