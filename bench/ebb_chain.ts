/** @file A list of dispatches of Ebb's kernels that is submitted as a whole, to be timed against a peer's graph. */
import type { Binding, Gpu } from "../src/gpu/gpu.ts";
import { type Dispatch, Recorder } from "../src/gpu/recorder.ts";
import type { Contender } from "./timing.ts";

/** A dispatch, and the kernel and buffers that it is for. */
export interface BoundDispatch extends Dispatch {
  readonly binding: Binding;
}

/** Runs the dispatches in order, in one command buffer. */
export class EbbChain implements Contender {
  readonly #recorder: Recorder;

  constructor(readonly gpu: Gpu, readonly dispatches: readonly BoundDispatch[]) {
    this.#recorder = new Recorder(gpu);
  }

  get queue(): GPUQueue {
    return this.gpu.device.queue;
  }

  submit = (): void => {
    for (const dispatch of this.dispatches) this.#recorder.dispatch(dispatch.binding, dispatch);
    this.#recorder.submit();
  };
}
