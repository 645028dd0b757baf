/** @file Stage: what the adapter is, and what it can do at most. */
import { Gpu, type Kernel } from "../../../src/gpu/gpu.ts";
import { Recorder } from "../../../src/gpu/recorder.ts";
import { median } from "../../statistics.ts";
import {
  ARITHMETIC_THREADS,
  DOT_OPERATIONS,
  dotKernel,
  emptyKernel,
  freeKernel,
  MULTIPLY_ADD_OPERATIONS,
  multiplyAddKernel,
  readKernel,
  READS_PER_THREAD,
} from "../peak_kernels.ts";
import { type RepeatOptions, secondsPerDispatch } from "../repeat.ts";
import type { AdapterResults } from "../results.ts";
import type { StageContext } from "../stage.ts";

const MEBIBYTE = 2 ** 20;
/** Caches of today's cards hold less than the larger ones. */
const READ_BYTES = [32, 256, 1024].map((mebibytes) => mebibytes * MEBIBYTE);
/** A card reads this in far less than a second, a CPU does not. */
const SOFTWARE_READ_BYTES = [32, 128].map((mebibytes) => mebibytes * MEBIBYTE);
const CACHE_BYTES = 128 * MEBIBYTE;
const EMPTY_DISPATCHES = 2000;

/** Measures the adapter. */
export async function measureAdapter({ task, report, progress }: StageContext<AdapterResults>): Promise<void> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  const gpu = await Gpu.open(["shader-f16", "timestamp-query"]);
  // Not what is iterated over: they are properties of the prototype.
  const numbers: Record<string, number> = {};
  for (const name in adapter!.limits) {
    const value = adapter!.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") numbers[name] = value;
  }
  const info: Record<string, string | number | boolean> = {};
  for (const name in adapter!.info) {
    const value = adapter!.info[name as keyof GPUAdapterInfo];
    if (typeof value !== "function" && typeof value !== "symbol") info[name] = value as string | number | boolean;
  }
  let results: AdapterResults = {
    info: { ...info, name: gpu.adapterName },
    isSoftware: gpu.isSoftware,
    features: [...adapter!.features].sort(),
    limits: numbers,
    subgroupSize: gpu.subgroupSize ?? null,
    reads: [],
    peaks: {},
    overheads: {},
  };
  const peak = (found: Partial<AdapterResults["peaks"]>) =>
    report(results = { ...results, peaks: { ...results.peaks, ...found } });
  const overhead = (found: Partial<AdapterResults["overheads"]>) =>
    report(results = { ...results, overheads: { ...results.overheads, ...found } });
  report(results);
  progress(`${gpu.adapterName}, subgroups of ${gpu.subgroupSize ?? "unknown size"}`);

  const timing: RepeatOptions = task.quick || gpu.isSoftware
    ? { seconds: 0.02, samples: 1 }
    : { seconds: 0.1, samples: 3 };
  const output = gpu.createBuffer("peak output", ARITHMETIC_THREADS * 16);

  const sizes = (gpu.isSoftware ? SOFTWARE_READ_BYTES : READ_BYTES).filter((bytes) => bytes <= gpu.maxBindingBytes);
  for (const bytes of task.quick ? sizes.slice(0, 1) : sizes) {
    const input = gpu.createBuffer("peak input", bytes);
    for (const threads of [64, 256]) {
      const bindings = [gpu.binding(readKernel(threads), [input, output])];
      const groups = bytes / 16 / threads / READS_PER_THREAD;
      const seconds = await secondsPerDispatch(gpu, { bindings, params: [], grid: [groups] }, timing);
      results = { ...results, reads: [...results.reads, { bytes, threads, bytesPerSecond: bytes / seconds }] };
      const beyond = results.reads.filter((read) => read.bytes >= CACHE_BYTES || task.quick);
      peak(
        beyond.length > 0 ? { readBytesPerSecond: Math.max(...beyond.map((read) => read.bytesPerSecond)) } : {},
      );
    }
    gpu.destroyBuffer(input);
  }
  progress(`reads ${((results.peaks.readBytesPerSecond ?? NaN) / 1e9).toFixed(0)} GB/s`);

  const groups = gpu.isSoftware ? 64 : 8192;
  const arithmetic = async (kernel: Kernel, operationsPerThread: number): Promise<number> => {
    const bindings = [gpu.binding(kernel, [output])];
    const seconds = await secondsPerDispatch(gpu, { bindings, params: [], grid: [groups] }, timing);
    return groups * ARITHMETIC_THREADS * operationsPerThread / seconds;
  };
  peak({ f32OperationsPerSecond: await arithmetic(multiplyAddKernel("f32"), MULTIPLY_ADD_OPERATIONS) });
  if (gpu.device.features.has("shader-f16")) {
    peak({ f16OperationsPerSecond: await arithmetic(multiplyAddKernel("f16"), MULTIPLY_ADD_OPERATIONS) });
  }
  peak({ int8OperationsPerSecond: await arithmetic(dotKernel, DOT_OPERATIONS) });
  const tera = (value: number | undefined) => ((value ?? NaN) / 1e12).toPrecision(3);
  const { f32OperationsPerSecond, f16OperationsPerSecond, int8OperationsPerSecond } = results.peaks;
  progress(
    `f32 ${tera(f32OperationsPerSecond)}, f16 ${tera(f16OperationsPerSecond)} TFLOP/s, int8 ` +
      `${tera(int8OperationsPerSecond)} TOP/s`,
  );

  const dependent = { bindings: [gpu.binding(emptyKernel, [output])], params: [], grid: [1] } as const;
  overhead({ dependentDispatchMicroseconds: 1e6 * await secondsPerDispatch(gpu, dependent, timing) });
  const free = { bindings: [gpu.binding(freeKernel, [output])], params: [], grid: [1] } as const;
  overhead({ independentDispatchMicroseconds: 1e6 * await secondsPerDispatch(gpu, free, timing) });
  overhead(await hostCosts(gpu, dependent.bindings[0]));
  const { dependentDispatchMicroseconds: us, readbackMilliseconds: ms } = results.overheads;
  progress(`an empty dispatch ${us!.toFixed(2)} us, a readback ${ms!.toFixed(1)} ms`);
  gpu.destroy();
}

/** What the host pays: encoding a dispatch, a submit, a readback of four bytes. */
async function hostCosts(gpu: Gpu, binding: ReturnType<Gpu["binding"]>): Promise<AdapterResults["overheads"]> {
  const { queue } = gpu.device;
  const recorder = new Recorder(gpu);
  const encodes: number[] = [];
  const submits: number[] = [];
  const readbacks: number[] = [];
  const staging = gpu.createBuffer("staging", 16, GPUBufferUsage.MAP_READ);
  const source = gpu.createBuffer("source", 16);
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    for (let j = 0; j < EMPTY_DISPATCHES; j++) recorder.dispatch(binding, { params: [1, 2, 3, 4], grid: [1] });
    encodes.push((performance.now() - start) / EMPTY_DISPATCHES);
    recorder.submit();
    await queue.onSubmittedWorkDone();
  }
  for (let i = 0; i < 50; i++) {
    recorder.dispatch(binding, { params: [], grid: [1] });
    const start = performance.now();
    recorder.submit();
    submits.push(performance.now() - start);
  }
  await queue.onSubmittedWorkDone();
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    recorder.copy(source, 0, staging, 0, 4);
    recorder.submit();
    await staging.mapAsync(GPUMapMode.READ);
    staging.getMappedRange();
    staging.unmap();
    readbacks.push(performance.now() - start);
  }
  return {
    encodeMicrosecondsPerDispatch: 1000 * median(encodes),
    submitMicroseconds: 1000 * median(submits),
    readbackMilliseconds: median(readbacks),
  };
}
