/** @file Threads of a crew that a test starts itself. */
import { type Crew, CREW_WORKER, type OtherThreads } from "../../src/cpu/kernels/crew.ts";
import { CONTROL } from "../../src/cpu/kernels/crew_module.ts";

/** No other threads. */
export const ALONE: OtherThreads = { count: 0, begin: () => {} };

/** Threads beside the test's, which end when the crew is closed. */
export function threadsBeside(count: number): OtherThreads {
  return { count, begin: (start) => new Worker(CREW_WORKER, { type: "module" }).postMessage(start) };
}

/** Waits until all threads beside the test's have joined: they sleep between jobs, and whoever tries to wake them is told how many. */
export async function allJoined({ words }: Crew, count: number): Promise<void> {
  while (Atomics.notify(words, CONTROL.generation) < count) await new Promise((resolve) => setTimeout(resolve, 1));
}
