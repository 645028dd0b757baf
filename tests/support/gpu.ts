/** @file Runs one kernel on the test adapter: upload, dispatch, read back. */
import { Gpu, type Kernel } from "../../src/gpu/gpu.ts";
import { Recorder } from "../../src/gpu/recorder.ts";

let shared: Promise<Gpu> | undefined;

/** The device that all kernel tests of a process share. */
export function testGpu(): Promise<Gpu> {
  return shared ??= Gpu.open();
}

/** Reads a whole buffer back. */
export async function readBuffer(gpu: Gpu, buffer: GPUBuffer): Promise<ArrayBuffer> {
  const staging = gpu.createBuffer("read back", buffer.size, GPUBufferUsage.MAP_READ);
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  gpu.device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const data = staging.getMappedRange().slice(0);
  staging.unmap();
  gpu.destroyBuffer(staging);
  return data;
}

/**
 * Dispatches `kernel` once over fresh buffers holding `inputs` (in the order of its bindings) and returns the contents
 * of every buffer afterwards.
 */
export async function runKernel(
  gpu: Gpu,
  kernel: Kernel,
  params: readonly number[],
  inputs: readonly ArrayBufferView<ArrayBuffer>[],
  grid: readonly [number, number?, number?],
): Promise<ArrayBuffer[]> {
  const buffers = inputs.map((data, index) => gpu.upload(`${kernel.label} ${index}`, data));
  const pipeline = gpu.pipeline(kernel);
  const recorder = new Recorder(gpu);
  recorder.dispatch({ pipeline, group: gpu.bind(pipeline, buffers) }, params, ...grid);
  gpu.device.pushErrorScope("validation");
  recorder.submit();
  const error = await gpu.device.popErrorScope();
  if (error) throw new Error(`${kernel.label}: ${error.message}`);
  const results: ArrayBuffer[] = [];
  for (const [index, buffer] of buffers.entries()) {
    results.push((await readBuffer(gpu, buffer)).slice(0, inputs[index].byteLength));
  }
  for (const buffer of buffers) gpu.destroyBuffer(buffer);
  return results;
}
