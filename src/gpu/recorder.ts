/**
 * @file Records dispatches and copies into one command buffer, with one compute pass for as long as possible.
 *
 * A pass per dispatch costs 20 us in Deno, a dispatch inside an open pass 2-5 us. Parameters of all dispatches of a
 * submit go into one uniform arena, written once, and are selected by dynamic offset.
 */
import { type Binding, type Gpu, PARAMS_BYTES } from "./gpu.ts";

const PARAMS_WORDS = PARAMS_BYTES / 4;

const bits = new DataView(new ArrayBuffer(4));

/** The bits of `value` as an f32, for kernel parameters that are floats. */
export function floatBits(value: number): number {
  bits.setFloat32(0, value, true);
  return bits.getUint32(0, true);
}

/** How often a kernel's workgroup is run along x, y and z; once where not given, and not at all where one is 0. */
export type Grid = readonly [x: number, y?: number, z?: number];

/** What a kernel is run with. The host function beside each kernel makes it of the shape of the work. */
export interface Dispatch {
  /** The words of the kernel's `Params`, floats as {@link floatBits}. */
  readonly params: readonly number[];
  readonly grid: Grid;
}

/** Records work for the GPU; reusable after {@link submit}. */
export class Recorder {
  /** Dispatches and submits so far. */
  dispatches = 0;
  submits = 0;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #offset = new Uint32Array(1);
  #slot = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;

  constructor(readonly gpu: Gpu) {
    this.#words = new Uint32Array(gpu.paramsSlots * PARAMS_WORDS);
  }

  /** Runs a kernel over a grid of workgroups. */
  dispatch(binding: Binding, { params, grid }: Dispatch): void {
    // By index, as this runs hundreds of times a token: taken apart as a pattern, the array would be iterated over.
    const x = grid[0];
    const y = grid[1] ?? 1;
    const z = grid[2] ?? 1;
    if (x === 0 || y === 0 || z === 0) return;
    const { rehearsal } = this.gpu;
    if (rehearsal !== null) {
      if (!rehearsal.has(binding.pipeline)) rehearsal.set(binding.pipeline, { binding, params: [...params] });
      return;
    }
    // The arena is full: what was recorded must run before its slots are written again.
    if (this.#slot === this.gpu.paramsSlots) this.submit();
    const base = this.#slot * PARAMS_WORDS;
    for (let i = 0; i < params.length; i++) this.#words[base + i] = params[i];
    this.#offset[0] = this.#slot * PARAMS_BYTES;
    this.#slot++;
    const pass = this.#pass ??= this.#open().beginComputePass();
    pass.setPipeline(binding.pipeline.pipeline);
    pass.setBindGroup(0, binding.group, this.#offset, 0, 1);
    pass.dispatchWorkgroups(x, y, z);
    this.dispatches++;
  }

  /** Copies bytes between buffers, after everything recorded so far. Offsets and size are multiples of 4. */
  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void {
    this.#closePass();
    this.#open().copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
  }

  /** Zeroes bytes of a buffer, after everything recorded so far. */
  clear(buffer: GPUBuffer, offset = 0, bytes = buffer.size - offset): void {
    this.#closePass();
    this.#open().clearBuffer(buffer, offset, bytes);
  }

  /** Hands everything recorded to the GPU. */
  submit(): void {
    if (!this.#encoder) return;
    this.#closePass();
    const { queue } = this.gpu.device;
    queue.writeBuffer(this.gpu.params, 0, this.#words, 0, this.#slot * PARAMS_WORDS);
    queue.submit([this.#encoder.finish()]);
    this.#encoder = null;
    this.#slot = 0;
    this.submits++;
  }

  #open(): GPUCommandEncoder {
    return this.#encoder ??= this.gpu.device.createCommandEncoder();
  }

  #closePass(): void {
    this.#pass?.end();
    this.#pass = null;
  }
}
