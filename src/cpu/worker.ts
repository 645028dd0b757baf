/** @file The CPU engine's thread: owns onnxruntime, the weights, the cache and the scheduler. */
import { availableParallelism } from "node:os";
import type { ModelConfig } from "../architecture/config.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { ropeTable } from "../architecture/rope.ts";
import { readSamplingDefaults } from "../architecture/sampling_defaults.ts";
import { BlockPool } from "../cache/block_pool.ts";
import { PrefixIndex } from "../cache/prefix_index.ts";
import { SizeError } from "../contract/errors.ts";
import { EngineThread } from "../engine/engine_thread.ts";
import type { EngineWorkerOptions } from "../engine/protocol.ts";
import { describeModel } from "../engine/served_model.ts";
import { openModel } from "../formats/open.ts";
import { dimensionsOf } from "../model/dimensions.ts";
import type { PluginBundle } from "../policy/loading/plugin_bundle.ts";
import { withoutKernels } from "../policy/steps.ts";
import { PrefixCache } from "./cache/prefix_cache.ts";
import { REHEARSAL_CHUNK } from "../scores/rehearsal.ts";
import { Forward } from "./forward.ts";
import { CREW_WORKER, type OtherThreads } from "./kernels/crew.ts";
import { F32Products } from "./products/f32_products.ts";
import { fitsInt8, Int8Products } from "./products/int8_products.ts";
import { planMemory, weightCount, type WeightType } from "./memory_plan.ts";
import type { LoadingProgress } from "./products/stored_rows.ts";
import { Onnxruntime } from "./runtime/onnxruntime.ts";
import { Scheduler } from "./scheduler.ts";

/** Most threads by default: long before, memory is what an answer waits for, and each takes time to start and cores while it waits. */
const MOST_THREADS = 16;

/** What the threads run, by the type of the weights. */
const COMPUTES: Readonly<Record<WeightType, string>> = {
  int8: "WebAssembly, int8 weights",
  f32: "onnxruntime, f32 weights",
};

EngineThread.start(run);

async function run(
  thread: EngineThread,
  options: EngineWorkerOptions,
  plugins: readonly PluginBundle[],
): Promise<void> {
  await thread.setPlugins(plugins);
  thread.policies.runnable = withoutKernels;
  const { forward, pool } = await load(thread, options);
  const { layerCount, kvHeadCount, headSize } = forward.config;
  const mostBlocks = Math.floor((options.prefixCache ?? 0) / pool.blockBytes);
  const prefixCache = new PrefixCache(
    new PrefixIndex(pool, layerCount, mostBlocks, REHEARSAL_CHUNK),
    kvHeadCount,
    headSize,
  );
  const { policies, emit, log, guides } = thread;
  await thread.serve(new Scheduler(forward, prefixCache, options.maxBatch, policies, emit, log, guides));
  forward.products.close();
}

async function load(
  thread: EngineThread,
  options: EngineWorkerOptions,
): Promise<{ forward: Forward; pool: BlockPool }> {
  const threads = options.threads ?? Math.min(availableParallelism(), MOST_THREADS);
  const file = await openModel(options.model);
  try {
    const config = await readModelConfig(file);
    const weights = weightTypeOf(config, options);
    const serving = servingOptions(thread, weightCount(file, config), config, weights, options);
    const dimensions = dimensionsOf(config, serving);
    const blocks = Math.floor(serving.kvMemory / dimensions.blockBytes);
    if (blocks === 0) {
      throw new SizeError(
        `--kv-memory is ${serving.kvMemory} bytes: expected at least one block of ${dimensions.blockBytes}`,
      );
    }
    // Beside weights of 8 bits, what is left to onnxruntime does not make up for threads that wait for it.
    const runtime = await Onnxruntime.open(weights === "f32" ? threads : 1);
    const onProgress: LoadingProgress = ({ tensors, bytes }) => {
      const { tensors: { size: total }, tensorBytes: totalBytes } = file;
      const progress = { stage: "tensors", done: Math.min(tensors, total), total, bytes, totalBytes } as const;
      thread.post({ type: "progress", progress });
    };
    const products = weights === "f32"
      ? await F32Products.load(runtime, file, config, onProgress)
      : await Int8Products.load(runtime, file, config, options.maxBatch, helpersOf(thread, threads - 1), onProgress);
    const table = ropeTable(config.rope, dimensions.positions);
    const forward = await Forward.create(runtime, config, products, table, options.maxBatch);
    const pool = new BlockPool({ arenas: [blocks], blockBytes: dimensions.blockBytes, layerCount: config.layerCount });
    thread.post({
      type: "ready",
      ready: {
        model: {
          ...describeModel(file, config, options, serving.contextLength),
          sampling: await readSamplingDefaults(file),
        },
        cache: config,
        largestArena: pool.largestArena,
        blockBytes: pool.blockBytes,
        maxBatch: options.maxBatch,
        device: `the CPU (${COMPUTES[weights]}, ${threads} ${threads === 1 ? "thread" : "threads"})`,
      },
    });
    return { forward, pool };
  } finally {
    file.close();
  }
}

/** The threads beside this one. */
function helpersOf(thread: EngineThread, count: number): OtherThreads {
  return {
    count,
    begin: (start) => thread.post({ type: "thread", thread: { module: CREW_WORKER.href, start } }),
  };
}

/** What the weights are kept as; 8 bits by default, where the model's sizes allow it. */
function weightTypeOf(config: ModelConfig, { cpuWeights }: EngineWorkerOptions): WeightType {
  const fits = fitsInt8(config);
  if (cpuWeights === "int8" && !fits) {
    throw new SizeError(
      `--cpu-weights is int8, but the sizes of ${config.name} are not all multiples of 8: expected f32`,
    );
  }
  return cpuWeights ?? (fits ? "int8" : "f32");
}

/** Fills in what the user left open. */
function servingOptions(
  { log }: EngineThread,
  parameters: number,
  config: ModelConfig,
  weights: WeightType,
  { context, maxBatch, kvMemory, kvType = "f32" }: EngineWorkerOptions,
) {
  if (kvType !== "f32") {
    throw new SizeError(`--kv-type is ${kvType}: expected f32, which is what the CPU keeps its KV cache in`);
  }
  if (context !== undefined && context > config.contextLength) {
    log(
      `--context is ${context}, but the model was made for ${config.contextLength} tokens: beyond them its answers may ` +
        "make no sense",
    );
  }
  const plan = planMemory(parameters, config, { weights, context, kvMemory, maxBatch });
  return { ...plan, maxBatch, kvElement: kvType };
}
