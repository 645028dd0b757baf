/** @file A list of dispatches of Ebb's kernels that is submitted as a whole, to be timed against a peer's graph. */
import type { Binding, Gpu } from "../src/gpu/gpu.ts";
import { Recorder } from "../src/gpu/recorder.ts";
import type { Contender } from "./timing.ts";

export interface Dispatch {
  readonly binding: Binding;
  readonly params: readonly number[];
  readonly grid: readonly number[];
}

/** Runs the dispatches in order, in one command buffer. */
export class EbbChain implements Contender {
  readonly #recorder: Recorder;

  constructor(readonly gpu: Gpu, readonly dispatches: readonly Dispatch[]) {
    this.#recorder = new Recorder(gpu);
  }

  get queue(): GPUQueue {
    return this.gpu.device.queue;
  }

  submit = (): void => {
    for (const { binding, params, grid: [x, y, z] } of this.dispatches) {
      this.#recorder.dispatch(binding, params, x, y, z);
    }
    this.#recorder.submit();
  };
}
