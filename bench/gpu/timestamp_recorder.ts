/**
 * @file A recorder that asks the GPU for the time: around every dispatch, each in a pass of its own, or around all together.
 *
 * Passes of their own cost time between the dispatches, none within them; the engine's own recorder has one for all.
 */
import { type Binding, type Gpu, PARAMS_BYTES } from "../../src/gpu/gpu.ts";
import { type Dispatch, Recorder } from "../../src/gpu/recorder.ts";

/** WebGPU's limit of a query set is 4096. */
const MOST_PASSES = 2048;
const QUERY_BYTES = 8;

/** What a pass did, and how long. */
export interface TimedPass {
  readonly dispatches: readonly { readonly label: string; readonly group: GPUBindGroup }[];
  /** Of the adapter's clock. */
  readonly ticks: number;
}

export class TimestampRecorder extends Recorder {
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  readonly #words: Uint32Array<ArrayBuffer>;
  #passes: { label: string; group: GPUBindGroup }[][] = [];
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #slot = 0;

  /** @param together all dispatches in one pass, as the engine records them */
  constructor(gpu: Gpu, readonly together: boolean) {
    super(gpu);
    this.#words = new Uint32Array(gpu.paramsSlots * PARAMS_BYTES / 4);
    this.#queries = gpu.device.createQuerySet({ type: "timestamp", count: 2 * MOST_PASSES });
    const bytes = 2 * MOST_PASSES * QUERY_BYTES;
    this.#resolved = gpu.createBuffer("timestamps", bytes, GPUBufferUsage.QUERY_RESOLVE);
    this.#staging = gpu.createBuffer("timestamps read back", bytes, GPUBufferUsage.MAP_READ);
  }

  override dispatch(binding: Binding, { params, grid: [x, y = 1, z = 1] }: Dispatch): void {
    if (x === 0 || y === 0 || z === 0) return;
    const offset = this.#slot++ * PARAMS_BYTES;
    this.#words.set(params, offset / 4);
    if (!this.together) this.#endPass();
    this.#pass ??= this.#beginPass();
    this.#passes.at(-1)!.push({ label: binding.pipeline.kernel.label, group: binding.group });
    this.#pass.setPipeline(binding.pipeline.pipeline);
    this.#pass.setBindGroup(0, binding.group, Uint32Array.of(offset), 0, 1);
    this.#pass.dispatchWorkgroups(x, y, z);
    this.dispatches++;
  }

  override copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void {
    this.#endPass();
    this.#open().copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
  }

  override clear(buffer: GPUBuffer, offset = 0, bytes = buffer.size - offset): void {
    this.#endPass();
    this.#open().clearBuffer(buffer, offset, bytes);
  }

  override submit(): void {
    throw new Error("A recorder with timestamps is submitted by time()");
  }

  /** Runs what was recorded and gives the time of every pass. */
  async time(): Promise<TimedPass[]> {
    this.#endPass();
    const encoder = this.#open();
    const bytes = 2 * this.#passes.length * QUERY_BYTES;
    encoder.resolveQuerySet(this.#queries, 0, 2 * this.#passes.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, bytes);
    const { queue } = this.gpu.device;
    queue.writeBuffer(this.gpu.params, 0, this.#words, 0, this.#slot * PARAMS_BYTES / 4);
    queue.submit([encoder.finish()]);
    this.submits++;
    await this.#staging.mapAsync(GPUMapMode.READ, 0, bytes);
    const times = new BigUint64Array(this.#staging.getMappedRange(0, bytes).slice(0));
    this.#staging.unmap();
    const passes = this.#passes.map((dispatches, i) => ({
      dispatches,
      ticks: Number(times[2 * i + 1] - times[2 * i]),
    }));
    this.#encoder = null;
    this.#passes = [];
    this.#slot = 0;
    return passes;
  }

  #open(): GPUCommandEncoder {
    return this.#encoder ??= this.gpu.device.createCommandEncoder();
  }

  #beginPass(): GPUComputePassEncoder {
    const index = this.#passes.length;
    if (index === MOST_PASSES) throw new RangeError(`Cannot time more than ${MOST_PASSES} dispatches at once`);
    this.#passes.push([]);
    return this.#open().beginComputePass({
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * index,
        endOfPassWriteIndex: 2 * index + 1,
      },
    });
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
  }
}
