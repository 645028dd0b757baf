/** @file Times work on GPU queues: contenders take turns. */
import { median } from "./statistics.ts";

/** Something whose speed is measured. */
export interface Contender {
  readonly queue: GPUQueue;
  /** Hands the work to the GPU once. */
  submit(): void | Promise<void>;
}

export interface TimingOptions {
  /** Samples of each contender. */
  readonly samples: number;
  /** Shortest sample; faster work is repeated within a sample. */
  readonly sampleSeconds: number;
}

const WARM_UPS = 2;
/** Work too fast to be told from the round trip must not be repeated for ever. */
const MOST_REPEATS = 1000;

/**
 * Samples of the seconds that one `submit()` of each contender takes, until the GPU is done. The contenders take turns,
 * so that what else the machine does meets them alike.
 */
export async function compare(
  contenders: readonly Contender[],
  { samples, sampleSeconds }: TimingOptions,
): Promise<number[][]> {
  const repeats: number[] = [];
  const roundTrips: number[] = [];
  for (const contender of contenders) {
    let seconds = 0;
    for (let i = 0; i < WARM_UPS; i++) seconds = await elapsed(contender, 1);
    roundTrips.push(await idleRoundTrip(contender.queue));
    const once = Math.max(sampleSeconds / MOST_REPEATS, seconds - roundTrips.at(-1)!);
    repeats.push(Math.ceil(sampleSeconds / once));
  }
  const taken: number[][] = contenders.map(() => []);
  for (let i = 0; i < samples; i++) {
    for (const [index, contender] of contenders.entries()) {
      const seconds = await elapsed(contender, repeats[index]);
      taken[index].push((seconds - roundTrips[index]) / repeats[index]);
    }
  }
  return taken;
}

async function elapsed({ queue, submit }: Contender, repeats: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await submit();
  await queue.onSubmittedWorkDone();
  return (performance.now() - start) / 1000;
}

/** What `onSubmittedWorkDone` takes when there is nothing to wait for: about 11 ms in Deno, which is not the GPU's. */
async function idleRoundTrip(queue: GPUQueue): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await queue.onSubmittedWorkDone();
    taken.push((performance.now() - start) / 1000);
  }
  return median(taken);
}
