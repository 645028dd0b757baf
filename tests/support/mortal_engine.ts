/** @file An engine that can be made to fail. */
import { EngineClient } from "../../src/engine/client.ts";
import { HelperThreads } from "../../src/engine/helper_threads.ts";
import type { EngineReady, FromWorker, ToWorker } from "../../src/engine/protocol.ts";
import { TEST_ENGINE } from "./engine.ts";

/** A client like that of `startEngineWorker()`. */
export interface MortalEngine {
  readonly engine: EngineClient;
  /** Destroys the worker's device. */
  loseDevice(): void;
  /** Throws an error in the worker that nobody catches. */
  die(): void;
}

/** @param model Path of a model file */
export async function startMortalEngine(model: string): Promise<MortalEngine> {
  const worker = new Worker(new URL("./mortal_worker.ts", import.meta.url), { type: "module" });
  const { defaultKvCache, policies, maxQueue, ...options } = TEST_ENGINE;
  const post = (message: ToWorker) => worker.postMessage(message);
  const ready = await new Promise<EngineReady>((resolve) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => data.type === "ready" && resolve(data.ready);
    post({ type: "start", options: { model, ...options }, plugins: [] });
  });
  const engine = new EngineClient(worker, new HelperThreads(), post, ready, {
    defaultKvCache,
    policies,
    maxQueue,
    log: () => {},
  });
  return { engine, loseDevice: () => worker.postMessage("lose the device"), die: () => worker.postMessage("die") };
}
