/**
 * @file Ebb inside a Deno program of one's own: load a model, ask it, or serve it over HTTP beside other routes.
 *
 * @example
 * ```ts ignore
 * import { Hono } from "hono";
 * import { createApp, startEngine } from "@ebb/ebb";
 *
 * const engine = await startEngine({ model: "model.gguf" });
 * const app = new Hono();
 * app.get("/", (c) => c.text("Hello"));
 * app.route("/llm", createApp(engine));
 * Deno.serve(app.fetch);
 * ```
 */
import type { Hono } from "hono";
import type { KvCacheChoice } from "./src/contract/generation.ts";
import { parseKvCacheChoice } from "./src/policy/choice.ts";
import type { PolicyRegistry } from "./src/policy/registry.ts";
import { type AppOptions, createApp as createRoutes } from "./src/routes/app.ts";
import { chooseDevice } from "./src/serving/device.ts";
import { EMBEDDED_MODEL } from "./src/serving/embedded_model.ts";
import { loadPolicies } from "./src/serving/policies.ts";
import { type RunningEngine, startEngine as start } from "./src/serving/start_engine.ts";

export type { Engine, EngineStats, LoadProgress } from "./src/contract/engine.ts";
export type { Generation, GenerationEvent, GenerationRequest, KvCacheChoice } from "./src/contract/generation.ts";
export { GREEDY } from "./src/contract/sampling.ts";
export type { SamplingParameters } from "./src/contract/sampling.ts";
export type { RunningEngine } from "./src/serving/start_engine.ts";

/** How a model is to be run; the same as the flags of `main.ts serve`. */
export interface EngineOptions {
  /** A GGUF file, or a directory with safetensors. Default: the small model that comes with Ebb. */
  readonly model?: string;
  /** Where to compute. Default: on a GPU, or on the CPU where there is none. */
  readonly device?: "auto" | "gpu" | "cpu";
  /** Files with KV cache policies of one's own, or directories of such. */
  readonly plugins?: readonly string[];
  /** Whether these run in threads that can read, write and connect to nothing. */
  readonly sandboxPlugins?: boolean;
  /** Of requests that name none. Default: DynamicKV with 1024 rows per layer. */
  readonly kvCache?: Pick<KvCacheChoice, "policy" | "budget">;
  /** Longest prompt plus completion, in tokens. Default: the model's own. */
  readonly context?: number;
  /** Bytes of the KV cache. Default: what the batch and the context need. */
  readonly kvMemory?: number;
  /** Most sequences that run at once, and that wait. Default: 16 and 256. */
  readonly maxBatch?: number;
  readonly maxQueue?: number;
}

/** An engine at work, and what its requests can choose from. */
export interface EmbeddedEngine extends RunningEngine {
  readonly policies: PolicyRegistry;
}

/**
 * Loads a model and starts its engine, in a thread of its own. Close it in the end.
 *
 * @throws {ModelFileError} when the model cannot be run @throws {PluginError} when a plugin cannot be used
 */
export async function startEngine(options: EngineOptions = {}): Promise<EmbeddedEngine> {
  const { model = EMBEDDED_MODEL, plugins, sandboxPlugins, kvCache, context, kvMemory } = options;
  const policies = await loadPolicies(plugins, sandboxPlugins);
  const device = await chooseDevice(options.device ?? "auto", () => {});
  const engine = await start(
    {
      model,
      device,
      defaultKvCache: parseKvCacheChoice(kvCache, { policy: "dynamickv", budget: 1024 }, policies),
      context,
      kvMemory,
      maxBatch: options.maxBatch ?? 16,
      maxQueue: options.maxQueue ?? 256,
    },
    policies,
    () => {},
  );
  return { ...engine, policies };
}

/** The HTTP application of an engine: OpenAI's API, `/health` and `/metrics`, to be served by itself or as a route of another. */
// deno-lint-ignore no-explicit-any -- the application's variables are its own business
export function createApp(
  { engine, text, chatTemplate, policies }: EmbeddedEngine,
  options: Omit<AppOptions, "policies"> = {},
): Hono<any> {
  return createRoutes({ engine, text, chatTemplate, options: { ...options, policies } });
}
