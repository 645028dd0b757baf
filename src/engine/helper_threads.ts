/** @file Threads that an engine has started beside its own. */
import { endWorker } from "../gpu/worker_end.ts";
import type { HelperThread } from "./protocol.ts";

export class HelperThreads {
  /** Resolves with the reason when one of them dies; never otherwise. */
  readonly failed: Promise<Error>;
  readonly #workers: Worker[] = [];
  #fail: (error: Error) => void = () => {};

  constructor() {
    this.failed = new Promise((resolve) => this.#fail = resolve);
  }

  start({ module, start }: HelperThread): void {
    const worker = new Worker(module, { type: "module" });
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(`A thread of the engine failed: ${event.message}`));
    };
    worker.postMessage(start);
    this.#workers.push(worker);
  }

  end(): void {
    for (const worker of this.#workers.splice(0)) endWorker(worker);
  }
}
