/** @file Kernels with their buffers: each pair is bound when it is first asked for, and kept. */
import type { Binding, Gpu, Kernel } from "../gpu/gpu.ts";

interface Made {
  readonly label: string;
  readonly buffers: readonly GPUBuffer[];
  readonly binding: Binding;
}

/** Bindings of one owner, few enough to be looked through. */
export class Bindings {
  readonly #made: Made[] = [];

  constructor(readonly gpu: Gpu) {}

  /** The kernel bound to these buffers. */
  of(kernel: Kernel, buffers: readonly GPUBuffer[]): Binding {
    const { label } = kernel;
    const made = this.#made.find((made) => made.label === label && made.buffers.every((own, i) => own === buffers[i]));
    if (made !== undefined) return made.binding;
    const binding = this.gpu.binding(kernel, buffers as GPUBuffer[]);
    this.#made.push({ label, buffers, binding });
    return binding;
  }
}
