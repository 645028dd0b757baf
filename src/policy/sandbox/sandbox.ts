/**
 * @file A thread without permissions in which a plugin file is evaluated and asked, and a fence against calls that do not end: whoever
 * asks has a limit to its patience, upon which the thread is ended and started anew.
 *
 *     ask() --postMessage--> sandbox_worker.ts
 *           <--shared memory-- Atomics.wait(), with a limit
 */
import process from "node:process";
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

/**
 * How long an answer may take, in milliseconds. A plugin's loops end by themselves (see call_clock.ts); this is for what does not
 * loop and does not end.
 */
export interface Patience {
  /** That the process computes: the sandbox can have computed no more, so that one on a busy machine is waited for. */
  readonly computed: number;
  /** That pass, whatever is computed. */
  readonly passed: number;
}

const CALL: Patience = { computed: 2500, passed: 20_000 };
const PATIENCE: Readonly<Record<Question["type"], Patience>> = {
  describe: { computed: 10_000, passed: 60_000 },
  parse: CALL,
  score: CALL,
  schedule: CALL,
  allot: CALL,
  // Known to be slow.
  host: { computed: 25_000, passed: 120_000 },
};
/** Milliseconds between two looks at what has been computed. */
const LOOK_MILLISECONDS = 250;
/** How long a thread may take to start: while it does, whoever asks waits. */
const START: Patience = { computed: Infinity, passed: 60_000 };

/** Workers with permissions of their own are not in the standard's types. */
type DenoWorkerOptions = WorkerOptions & { readonly deno: { readonly permissions: "none" } };

export class Sandbox {
  #worker: Worker | null = null;
  #memory: SharedMemory = sharedMemory();
  #isClosed = false;

  /** @param patience how long each question waits for its answer */
  constructor(
    readonly bundle: PluginBundle,
    readonly patience: Readonly<Record<Question["type"], Patience>> = PATIENCE,
  ) {
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
    if (!waitWhile(state, STARTING, START)) throw this.#late("did not start");
    Atomics.store(state, 0, ASKED);
    this.#worker!.postMessage(question);
    if (!waitWhile(state, ASKED, this.patience[question.type])) throw this.#late(`did not answer ${question.type}()`);
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
  #late(what: string): Error {
    this.#worker?.terminate();
    this.#start();
    return new Error(`${this.bundle.file} ${what} in time: its sandbox was ended`);
  }
}

/** Whether the state was left in time. */
function waitWhile(state: Int32Array<SharedArrayBuffer>, is: number, { computed, passed }: Patience): boolean {
  const end = performance.now() + passed;
  const begun = process.cpuUsage();
  while (Atomics.load(state, 0) === is) {
    const { user, system } = process.cpuUsage(begun);
    if (performance.now() > end || (user + system) / 1000 > computed) return false;
    Atomics.wait(state, 0, is, LOOK_MILLISECONDS);
  }
  // What was waited for is an answer, or the end of a start.
  return Atomics.load(state, 0) >= Math.min(is + 1, ANSWERED);
}
