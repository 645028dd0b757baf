/**
 * @file Times one dispatch by repeating it in a single pass of a single submit until the GPU has been busy for long enough.
 *
 * In Deno, waiting for the GPU takes 10 ms however little there is to wait for, and a submit some 100 us: only what is long
 * against both can be measured by the clock of the host.
 */
import type { Binding, Gpu } from "../../src/gpu/gpu.ts";
import { type Dispatch, Recorder } from "../../src/gpu/recorder.ts";
import { median } from "../statistics.ts";

/** Work to repeat. Where there are several bindings, repetitions take turns. */
export interface RepeatedDispatch extends Dispatch {
  readonly bindings: readonly Binding[];
}

export interface RepeatOptions {
  /** What a measurement should take. */
  readonly seconds: number;
  readonly samples: number;
}

/** Parameters of every dispatch of a submit must fit into the arena. */
const MOST_REPEATS = 4096;

/** The seconds that one dispatch takes: of several samples the least, for a peak is the best that was seen. */
export async function secondsPerDispatch(
  gpu: Gpu,
  { bindings, ...dispatch }: RepeatedDispatch,
  { seconds: wanted, samples }: RepeatOptions,
): Promise<number> {
  const recorder = new Recorder(gpu);
  const idle = await idleWait(gpu);
  const run = async (repeats: number): Promise<number> => {
    for (let i = 0; i < repeats; i++) recorder.dispatch(bindings[i % bindings.length], dispatch);
    const start = performance.now();
    recorder.submit();
    await gpu.device.queue.onSubmittedWorkDone();
    return Math.max(1e-6, (performance.now() - start) / 1000 - idle);
  };
  gpu.device.pushErrorScope("validation");
  await run(1);
  const error = await gpu.device.popErrorScope();
  if (error) throw new Error(`${bindings[0].pipeline.kernel.label}: ${error.message}`);
  let repeats = 1;
  // The lesser of two: what else the machine does must not pass for the GPU's work.
  let seconds = Math.min(await run(repeats), await run(repeats));
  // Short measurements say little about how many repetitions fill a long one.
  while (seconds < wanted && repeats < MOST_REPEATS) {
    repeats = Math.min(MOST_REPEATS, Math.ceil(repeats * Math.min(8, 1.2 * wanted / seconds)));
    seconds = Math.min(await run(repeats), await run(repeats));
  }
  for (let sample = 2; sample < samples; sample++) seconds = Math.min(seconds, await run(repeats));
  return seconds / repeats;
}

/** Seconds of waiting for a queue that has nothing to do. */
export async function idleWait(gpu: Gpu): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await gpu.device.queue.onSubmittedWorkDone();
    taken.push((performance.now() - start) / 1000);
  }
  return median(taken);
}
