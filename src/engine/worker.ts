/** @file The engine's thread: owns the device, the weights, the block pool and the loop. */
import { openModel } from "../formats/open.ts";
import { BindingLimitError, Gpu } from "../gpu/gpu.ts";
import type { ModelConfig } from "../architecture/config.ts";
import { contextLimit, defaultKvMemory } from "../model/dimensions.ts";
import { Model } from "../model/model.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { readSamplingDefaults } from "../architecture/sampling_defaults.ts";
import { SizeError } from "../contract/errors.ts";
import type { SamplingDefaults } from "../contract/sampling.ts";
import { EngineThread } from "./engine_thread.ts";
import type { EngineWorkerOptions } from "./protocol.ts";
import type { PluginBundle } from "../policy/loading/plugin_bundle.ts";
import { describeModel } from "./served_model.ts";
import { compileKernels } from "./plugin_kernels.ts";
import { TurnLoop } from "./turn_loop.ts";
import { warmUp } from "./warm_up.ts";

/** How long after an error the loss of the device may be reported that caused it. */
const LOSS_MILLISECONDS = 100;

EngineThread.start(run);

async function run(
  thread: EngineThread,
  options: EngineWorkerOptions,
  plugins: readonly PluginBundle[],
): Promise<void> {
  const gpu = await Gpu.open();
  const failed = new Promise<never>((_, reject) => {
    gpu.device.lost.then(({ message }) => reject(new Error(`The GPU device was lost: ${message}`)));
    gpu.device.addEventListener("uncapturederror", (event) => {
      reject(new Error(`The GPU reported an error: ${(event as GPUUncapturedErrorEvent).error.message}`));
    });
  });
  try {
    await Promise.race([serve(thread, gpu, options, plugins), failed]);
  } catch (error) {
    // Calls on a lost device may fail before the loss is reported, which says more.
    await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, LOSS_MILLISECONDS))]);
    throw error;
  } finally {
    failed.catch(() => {});
    gpu.destroy();
  }
}

async function serve(
  thread: EngineThread,
  gpu: Gpu,
  options: EngineWorkerOptions,
  plugins: readonly PluginBundle[],
): Promise<void> {
  const file = await openModel(options.model);
  let config: ModelConfig;
  let sampling: SamplingDefaults;
  let model: Model;
  try {
    config = await readModelConfig(file);
    sampling = await readSamplingDefaults(file);
    const serving = servingOptions(thread, gpu, config, options);
    model = await Model.load(
      gpu,
      file,
      config,
      serving,
      (progress) => thread.post({ type: "progress", progress }),
    ).catch((error) => {
      if (!(error instanceof BindingLimitError)) throw error;
      const { maxBatch, contextLength } = serving;
      throw new SizeError(
        `${error.message}; fewer sequences than ${maxBatch} (--max-batch) or a context shorter than ${contextLength} ` +
          "tokens (--context) need less",
      );
    });
    const { compressor } = model;
    thread.policies.runnable = (score) => compressor.runnable(score);
    thread.preparePlugins = (files) => compileKernels((step) => compressor.compile(step), config, files);
    await thread.setPlugins(plugins);
    const { warmUpPolicy = "full" } = options;
    await warmUp(model, thread.policies, warmUpPolicy, (progress) => thread.post({ type: "progress", progress }));
    thread.post({
      type: "ready",
      ready: {
        model: { ...describeModel(file, config, options, serving.contextLength), sampling },
        cache: config,
        largestArena: model.pool.largestArena,
        blockBytes: model.pool.blockBytes,
        maxBatch: options.maxBatch,
        device: gpu.adapterName,
      },
    });
  } finally {
    file.close();
  }

  await thread.serve(new TurnLoop(model, thread.policies, thread.emit, thread.log, thread.guides));
}

/** Fills in what the user left open, and refuses what this adapter cannot hold. */
function servingOptions({ log }: EngineThread, gpu: Gpu, config: ModelConfig, options: EngineWorkerOptions) {
  const { kvType = "f16" } = options;
  const limit = contextLimit(config, kvType, gpu.maxBindingBytes);
  if (options.context !== undefined && options.context > limit) {
    throw new SizeError(
      `--context is ${options.context}: expected at most ${limit}, for what a prompt needs while it is read has to fit ` +
        `into a binding of ${gpu.maxBindingBytes} bytes on ${gpu.adapterName}`,
    );
  }
  if (options.context !== undefined && options.context > config.contextLength) {
    log(
      `--context is ${options.context}, but the model was made for ${config.contextLength} tokens: beyond them its ` +
        "answers may make no sense",
    );
  }
  const memory = gpu.isSoftware ? systemMemory() : Infinity;
  if (options.kvMemory !== undefined && options.kvMemory > memory) {
    throw new SizeError(
      `--kv-memory is ${gibibytes(options.kvMemory)}: expected at most the ${
        gibibytes(memory)
      } of this machine, in which ` +
        `${gpu.adapterName} computes`,
    );
  }
  const serving = {
    contextLength: options.context ?? Math.min(config.contextLength, limit),
    maxBatch: options.maxBatch,
    kvElement: kvType,
    prefixCache: options.prefixCache,
  };
  return { ...serving, kvMemory: options.kvMemory ?? defaultKvMemory(config, serving) };
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Bytes of this machine's memory; infinite where the process may not know them. */
function systemMemory(): number {
  try {
    return Deno.systemMemoryInfo().total;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return Infinity;
    throw error;
  }
}
