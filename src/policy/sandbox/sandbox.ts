/**
 * @file A thread without permissions in which a plugin file is evaluated and asked, and a fence against calls that do not end: whoever
 * asks waits no longer than a deadline, upon which the thread is ended and started anew.
 *
 *     ask() --postMessage--> sandbox_worker.ts
 *           <--shared memory-- Atomics.wait(), with a deadline
 */
import { type PluginBundle, PluginError } from "../loading/plugin_bundle.ts";
import {
  type Answer,
  ANSWERED,
  ASKED,
  type Question,
  type SandboxStart,
  type SharedMemory,
  sharedMemory,
  STARTING,
  takeAnswer,
} from "./messages.ts";

/** How long an answer may take, in milliseconds. */
const DEADLINES: Readonly<Record<Question["type"], number>> = {
  describe: 10_000,
  parse: 250,
  score: 250,
  schedule: 250,
  allot: 250,
  // Known to be slow.
  host: 10_000,
};
/** How long a thread may take to start: while it does, whoever asks waits. */
const START_MILLISECONDS = 60_000;

/** Workers with permissions of their own are not in the standard's types. */
type DenoWorkerOptions = WorkerOptions & { readonly deno: { readonly permissions: "none" } };

export class Sandbox {
  #worker: Worker | null = null;
  #memory: SharedMemory = sharedMemory();
  #isClosed = false;

  constructor(readonly bundle: PluginBundle) {
    this.#start();
  }

  /**
   * Asks and waits.
   *
   * @throws {Error} what the plugin throws, or that it did not answer in time
   */
  ask(question: Question): unknown {
    if (this.#isClosed) throw new Error("The plugin's sandbox has been closed");
    const state = new Int32Array(this.#memory.state);
    if (!waitWhile(state, STARTING, START_MILLISECONDS)) throw this.#late("did not start", START_MILLISECONDS);
    Atomics.store(state, 0, ASKED);
    this.#worker!.postMessage(question);
    const deadline = DEADLINES[question.type];
    if (!waitWhile(state, ASKED, deadline)) throw this.#late(`did not answer ${question.type}()`, deadline);
    const answer: Answer = takeAnswer(this.#memory);
    if (answer.ok) return answer.value;
    throw question.type === "describe" ? new PluginError(answer.message) : new Error(answer.message);
  }

  /** Ends the thread for good. */
  close(): void {
    this.#isClosed = true;
    this.#worker?.terminate();
  }

  #start(): void {
    this.#memory = sharedMemory();
    const options: DenoWorkerOptions = { type: "module", deno: { permissions: "none" } };
    const worker = new Worker(new URL("./sandbox_worker.ts", import.meta.url), options);
    // Whatever it reports besides its answers: nobody waits for it, and it must not end the process.
    worker.onerror = (event) => event.preventDefault();
    worker.postMessage({ bundle: this.bundle, memory: this.#memory } satisfies SandboxStart);
    this.#worker = worker;
  }

  /** Ends the thread and starts another for whoever asks next. */
  #late(what: string, milliseconds: number): Error {
    this.#worker?.terminate();
    this.#start();
    return new Error(`${this.bundle.file} ${what} within ${milliseconds} ms: its sandbox was ended`);
  }
}

/** Whether the state was left in time. */
function waitWhile(state: Int32Array<SharedArrayBuffer>, is: number, milliseconds: number): boolean {
  const end = performance.now() + milliseconds;
  for (let left = milliseconds; Atomics.load(state, 0) === is; left = end - performance.now()) {
    if (left <= 0) return false;
    Atomics.wait(state, 0, is, left);
  }
  // What was waited for is an answer, or the end of a start.
  return Atomics.load(state, 0) >= Math.min(is + 1, ANSWERED);
}
