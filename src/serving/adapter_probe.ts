/**
 * @file A worker that looks for a WebGPU adapter and reports what it found.
 *
 * A thread that once looked in vain keeps its answer, even when a driver has been installed since; a new worker looks
 * anew.
 */

/** The adapter that the engine will run on. */
export interface AdapterSummary {
  /** The driver's name for it, such as "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly description: string;
  /** Whether it computes on the CPU. */
  readonly software: boolean;
}

declare const self: Pick<Worker, "postMessage">;

const adapter = await navigator.gpu.requestAdapter();
const summary: AdapterSummary | null = adapter && {
  description: adapter.info.description || adapter.info.device || "unnamed adapter",
  software: adapter.info.isFallbackAdapter,
};
self.postMessage(summary);
