/**
 * @file Stage: where the time of a decode step and of a prefill tile goes, kernel by kernel.
 *
 * Caches hold zeros here: nothing that is timed depends on what they hold, and filling them would take longer than all else.
 */
import { BLOCK_ROWS } from "../../../src/cache/block.ts";
import { SequenceCache } from "../../../src/cache/sequence_cache.ts";
import { readModelConfig } from "../../../src/architecture/read_config.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { openModel } from "../../../src/formats/open.ts";
import { type Binding, Gpu } from "../../../src/gpu/gpu.ts";
import type { Recorder } from "../../../src/gpu/recorder.ts";
import type { BatchRow } from "../../../src/model/batch_state.ts";
import { PREFILL_TILE_ROWS } from "../../../src/model/dimensions.ts";
import { Model } from "../../../src/model/model.ts";
import { median } from "../../statistics.ts";
import { promptOf, requestOf } from "../generations.ts";
import { costOf, type Work } from "../kernel_costs.ts";
import { ARITHMETIC_THREADS, multiplyAddKernel } from "../peak_kernels.ts";
import { idleWait } from "../repeat.ts";
import type { KernelProfile, Profile, ProfileResults } from "../results.ts";
import { cacheRowBytes, SHAPES } from "../shapes.ts";
import type { Peaks, StageContext } from "../stage.ts";
import { type TimedPass, TimestampRecorder } from "../timestamp_recorder.ts";

const REPEATS = 7;
const CALIBRATION_DISPATCHES = 16;
const CALIBRATION_RUNS = 4;
/** Long against the 10 ms that any wait takes in Deno. */
const CALIBRATION_NANOSECONDS = 1e8;
/** WebGPU's limit in one dimension. */
const MOST_GROUPS = 65535;
/** Streams of the step that is profiled beside that of one. */
const MANY_STREAMS = 8;
/** A clock of the adapter that is this near to nanoseconds counts them: the host's own measure is no better. */
const NEAR = 0.2;

/** Profiles decode steps of one stream and of several, and a prefill tile. */
export async function profileKernels({ task, report, progress }: StageContext<ProfileResults>): Promise<void> {
  const gpu = await Gpu.open(["timestamp-query"]);
  if (!gpu.device.features.has("timestamp-query")) {
    throw new Error("The adapter has no timestamp queries: nothing can be timed on it kernel by kernel");
  }
  const buffersOf = rememberBuffers(gpu);
  const shape = SHAPES[task.shape];
  const { cacheRows, prompts } = task.lengths;
  const longest = cacheRows.at(-1)!;
  const tileEnd = prompts.at(-2)!;
  const file = await openModel(task.modelPath);
  const model = await Model.load(gpu, file, await readModelConfig(file), {
    contextLength: Math.max(longest + BLOCK_ROWS, tileEnd),
    maxBatch: MANY_STREAMS,
    kvElement: "f16",
    kvMemory: cacheRowBytes(shape) * (Math.max(longest, MANY_STREAMS * cacheRows[0]) + 16 * BLOCK_ROWS),
  }).finally(() => file.close());

  const each = new TimestampRecorder(gpu, false);
  const together = new TimestampRecorder(gpu, true);
  const nanosecondsPerTick = await calibrate(gpu, together);
  const profiles: Profile[] = [];
  const profile = async (title: string, work: Work, record: (recorder: Recorder) => void) => {
    const runs: TimedPass[][] = [];
    const wholes: number[] = [];
    // The first run pays for what only a first one does.
    for (let i = 0; i <= REPEATS; i++) {
      record(each);
      const passes = await each.time();
      record(together);
      const whole = await together.time();
      if (i === 0) continue;
      runs.push(passes);
      wholes.push(whole.reduce((sum, { ticks }) => sum + ticks, 0));
    }
    const microseconds = (ticks: number) => ticks * nanosecondsPerTick / 1000;
    profiles.push({
      title,
      togetherMicroseconds: microseconds(median(wholes)),
      kernels: kernelProfiles(runs, microseconds, buffersOf, work, task.peaks),
    });
    report({ nanosecondsPerTick, profiles });
    progress(`${title}: ${(microseconds(median(wholes)) / 1000).toFixed(2)} ms`);
  };

  const steps = [...cacheRows.map((rows) => [1, rows]), [MANY_STREAMS, cacheRows[0]]];
  for (const [streams, rows] of steps) {
    const { batch, caches } = fillCaches(model, streams, rows - 1);
    model.decodeRows.set(batch);
    const streamsText = streams === 1 ? "one stream" : `${streams} streams`;
    await profile(`Decode step of ${streamsText} over ${rows} rows`, { shape, vectors: streams, cacheRows: rows }, (
      recorder,
    ) => model.decoder.record(recorder, batch, 0));
    for (const cache of caches) cache.release();
  }

  const count = Math.min(PREFILL_TILE_ROWS, tileEnd);
  model.prefiller.place([{ tokens: promptOf(tileEnd, shape.vocabulary), start: 0, window: 0, windowIndex: 0 }]);
  const { buffer, stride } = model.prefiller.hidden;
  gpu.write(buffer, (tileEnd - count) * stride * 4, normalValues(seededRandom(1), count * stride));
  const layer = shape.layers - 1;
  await profile(
    `Prefill tile of ${count} rows, the last of ${tileEnd}, through one layer`,
    { shape, vectors: count, cacheRows: tileEnd },
    (recorder) => model.prefiller.recordTile(recorder, layer, tileEnd - count, count),
  );
  gpu.destroy();
}

/** From now on, which buffers each bind group binds. */
function rememberBuffers(gpu: Gpu): Map<GPUBindGroup, readonly GPUBuffer[]> {
  const buffersOf = new Map<GPUBindGroup, readonly GPUBuffer[]>();
  const bind = gpu.bind.bind(gpu);
  gpu.bind = (pipeline, buffers) => {
    const group = bind(pipeline, buffers);
    buffersOf.set(group, buffers);
    return group;
  };
  return buffersOf;
}

/** Sequences of `rows` rows, and the batch that they are. */
function fillCaches(model: Model, streams: number, rows: number): { batch: BatchRow[]; caches: SequenceCache[] } {
  const { pool, slots, config } = model;
  const caches = Array.from({ length: streams }, () => new SequenceCache(pool, 0, config.layerCount));
  const batch = caches.map((cache, slot): BatchRow => {
    for (let layer = 0; layer < config.layerCount; layer++) cache.appendRecent(layer, rows);
    cache.reserveRecent(1);
    slots.startSlot(slot, requestOf(Uint32Array.of(1), 1));
    slots.writeToken(slot, 5 + slot);
    cache.takeChanges((layer, first, table, heads) => slots.writeTable(slot, layer, first, table, heads));
    return {
      slot,
      arena: 0,
      position: rows,
      rankedRows: cache.rankedRows,
      packedBlocks: cache.packedBlocks,
      recentRows: cache.recentRows,
      adjustsLogits: false,
      isMasked: false,
      topLogprobs: false,
      forcedTokens: 0,
      queryLog: null,
    };
  });
  return { batch, caches };
}

/** Medians of the dispatches, summed up by label, the longest first. */
function kernelProfiles(
  runs: readonly TimedPass[][],
  microseconds: (ticks: number) => number,
  buffersOf: ReadonlyMap<GPUBindGroup, readonly GPUBuffer[]>,
  work: Work,
  peaks: Peaks,
): KernelProfile[] {
  const {
    readBytesPerSecond = Infinity,
    f32OperationsPerSecond = Infinity,
    dependentDispatchMicroseconds = 0,
  } = peaks;
  const dispatches = runs[0].map(({ dispatches: [{ label, group }] }, i) => ({
    label: label + tensorOf(buffersOf.get(group)!),
    microseconds: microseconds(median(runs.map((passes) => passes[i].ticks))),
    cost: costOf(label, buffersOf.get(group)!, work),
  }));
  return [...Map.groupBy(dispatches, ({ label }) => label)].map(([label, all]): KernelProfile => {
    const sum = (value: (dispatch: typeof all[number]) => number) => all.reduce((total, one) => total + value(one), 0);
    const total = sum(({ microseconds }) => microseconds);
    const bytes = sum(({ cost }) => cost?.bytes ?? 0);
    const operations = sum(({ cost }) => cost?.operations ?? 0);
    const limits = [
      ["reads", 1e6 * bytes / readBytesPerSecond],
      ["arithmetic", 1e6 * operations / f32OperationsPerSecond],
      ["dispatch", all.length * dependentDispatchMicroseconds],
    ] as const;
    const [limitedBy, limitMicroseconds] = limits.reduce((a, b) => b[1] > a[1] ? b : a);
    return {
      label,
      dispatches: all.length,
      microseconds: total,
      gigabytesPerSecond: bytes > 0 ? bytes / total / 1e3 : undefined,
      gflops: operations > 0 ? operations / total / 1e3 : undefined,
      limitMicroseconds,
      limitedBy,
    };
  }).sort((a, b) => b.microseconds - a.microseconds);
}

/** Which of a layer's matrices, or of the model's, a product is with: the first of them, where several are one. */
function tensorOf([first]: readonly GPUBuffer[]): string {
  const name = /^(?:blk\.\d+\.)?(.*)\.weight plane 0$/.exec(first.label)?.[1];
  return name === undefined ? "" : `, ${name}`;
}

/** Nanoseconds of a tick: 1 by WebGPU's rules, but wgpu hands out what the driver counts in. */
async function calibrate(gpu: Gpu, recorder: TimestampRecorder): Promise<number> {
  const output = gpu.createBuffer("calibration", ARITHMETIC_THREADS * 16);
  const binding: Binding = gpu.binding(multiplyAddKernel("f32"), [output]);
  const idle = await idleWait(gpu);
  const run = async (groups: number) => {
    for (let i = 0; i < CALIBRATION_DISPATCHES; i++) recorder.dispatch(binding, { params: [], grid: [groups] });
    const start = performance.now();
    const [{ ticks }] = await recorder.time();
    return { ticks, nanoseconds: 1e6 * (performance.now() - start - 1000 * idle) };
  };
  await run(1);
  let groups = 1;
  while (groups < MOST_GROUPS && (await run(groups)).nanoseconds < CALIBRATION_NANOSECONDS) {
    groups = Math.min(MOST_GROUPS, groups * 4);
  }
  // What else the machine does makes the host's time longer, never shorter.
  let ratio = Infinity;
  for (let i = 0; i < CALIBRATION_RUNS; i++) {
    const { ticks, nanoseconds } = await run(groups);
    ratio = Math.min(ratio, nanoseconds / ticks);
  }
  gpu.destroyBuffer(output);
  if (!Number.isFinite(ratio)) throw new Error("The adapter's timestamps stand still: nothing can be timed with them");
  return Math.abs(ratio - 1) < NEAR ? 1 : ratio;
}
