/**
 * @file Waits for the ends of threads that used the GPU.
 *
 * A thread that is terminated lives on for a while, and releases what it had of the GPU. A process that exits meanwhile ends
 * the graphics driver under it: with Mesa's about one exit in a hundred was a segmentation fault.
 */

/** Deno's name of the threads of workers. */
const THREAD_NAME = /^worker-\d+$/;
/** A thread that is not gone by then does not end at all. In milliseconds. */
const PATIENCE = 1000;
/** Where threads cannot be listed: what has always been enough. */
const BLIND_PAUSE = 500;

let anyEnding = false;

/** Terminates a worker that used the GPU. */
export function endWorker(worker: Worker): void {
  anyEnding = true;
  worker.terminate();
}

/** Resolves when the threads of all workers have ended; to be awaited before the process exits. */
export async function workersEnded(): Promise<void> {
  if (!anyEnding) return;
  if (!canListThreads()) return await pause(BLIND_PAUSE);
  const last = performance.now() + PATIENCE;
  while (workerThreads() > 0 && performance.now() < last) await pause(2);
}

/** Linux lists them, and Deno lets those read the list who have every permission. */
function canListThreads(): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    workerThreads();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return false;
    throw error;
  }
}

/** The threads of workers in this process, as Linux knows them. */
export function workerThreads(): number {
  return [...Deno.readDirSync("/proc/self/task")].filter(({ name }) => {
    try {
      return THREAD_NAME.test(Deno.readTextFileSync(`/proc/self/task/${name}/comm`).trim());
    } catch {
      // Gone since the folder was listed.
      return false;
    }
  }).length;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
