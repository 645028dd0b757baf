/** @file An engine for whoever sits before the terminal: one sequence at a time. */
import { chooseDevice } from "../serving/device.ts";
import { type ModelHead, type RunningEngine, startEngine } from "../serving/start_engine.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import type { ChatOptions } from "./flags/serving.ts";
import { localModel } from "./local_model.ts";
import { defaultKvCacheOf, policiesOf } from "./policies.ts";
import { progressDisplay, readingProgress } from "./progress.ts";
import { watchReading } from "./watch_reading.ts";

/** What the engine is told by the flags of `generate` and `chat`. */
export type EngineFlags =
  & Pick<ChatOptions, "model" | "policy" | "kvBudget" | "decodeEviction" | "plugin" | "sandboxPlugins" | "context">
  & Pick<ChatOptions, "device" | "threads" | "cpuWeights">;

/**
 * Loads a model, whose engine shows how far it is with a long prompt. Prompts that begin as earlier ones are not read again, as far as the memory of one context goes.
 *
 * @param beforeLoading as of {@linkcode startEngine}
 * @throws {ExitError} with the reason `usage` @throws {SizeError} @throws {ModelFileError} @throws {PluginError} @throws {NoAdapterError}
 */
export async function startForOne(
  options: EngineFlags,
  beforeLoading?: (head: ModelHead) => Promise<void>,
): Promise<RunningEngine & { policies: PolicyRegistry }> {
  const policies = await policiesOf(options);
  const defaultKvCache = defaultKvCacheOf(options, policies);
  const model = await localModel(options.model);
  const device = await chooseDevice(options.device, console.error);
  const running = await startEngine(
    {
      model,
      device,
      threads: options.threads,
      cpuWeights: options.cpuWeights,
      context: options.context,
      prefixCache: Infinity,
      defaultKvCache,
      maxBatch: 1,
      maxQueue: 1,
    },
    policies,
    progressDisplay(),
    beforeLoading,
  );
  return { ...running, engine: watchReading(running.engine, readingProgress()), policies };
}
