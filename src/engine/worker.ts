/** @file The engine's thread: owns the device, the weights, the block pool and the loop. */
import { openModel } from "../formats/open.ts";
import { BindingLimitError, Gpu } from "../gpu/gpu.ts";
import type { ModelConfig } from "../architecture/config.ts";
import { contextLimit, defaultKvMemory } from "../model/dimensions.ts";
import { Model } from "../model/model.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { readSamplingDefaults } from "../architecture/sampling_defaults.ts";
import { SizeError } from "../contract/errors.ts";
import type { GenerationEvent } from "../contract/generation.ts";
import type { SamplingDefaults } from "../contract/sampling.ts";
import type { EngineWorkerOptions, FromWorker, ToWorker } from "./protocol.ts";
import { BUILT_IN_POLICIES } from "../plugins/built_in.ts";
import type { PluginBundle } from "../policy/loading/plugin_bundle.ts";
import { PolicyRegistry } from "../policy/registry.ts";
import { closeLater, loadPlugin } from "../policy/sandbox/load_plugin.ts";
import type { PackedVocabulary } from "../text/grammar/packed_vocabulary.ts";
import { workerGuides } from "./guides.ts";
import { describeModel } from "./served_model.ts";
import { compileKernels } from "./plugin_kernels.ts";
import { TurnLoop } from "./turn_loop.ts";
import { warmUp } from "./warm_up.ts";

const thread = self as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  close(): void;
};

/** How long after an error the loss of the device may be reported that caused it. */
const LOSS_MILLISECONDS = 100;

/** What requests choose from; the client knows the same. */
const POLICIES = new PolicyRegistry(BUILT_IN_POLICIES);

let loop: TurnLoop | null = null;
let vocabulary: PackedVocabulary | null = null;

/** Sets the plugins that requests choose from, once their kernels have been compiled. */
let changePlugins: (plugins: readonly PluginBundle[]) => Promise<void>;

thread.onmessage = ({ data }) => {
  switch (data.type) {
    case "start":
      run(data.options, data.plugins).catch((error) => {
        const { name, message } = error instanceof Error ? error : new Error(String(error));
        thread.postMessage({ type: "failed", failure: { name, message } });
      });
      break;
    case "vocabulary":
      vocabulary = data.vocabulary;
      break;
    case "plugins":
      changePlugins(data.plugins).then(
        () => thread.postMessage({ type: "plugins", failure: null }),
        ({ name, message }) => thread.postMessage({ type: "plugins", failure: { name, message } }),
      );
      break;
    case "generate":
      loop!.add(data.id, data.request);
      break;
    case "abort":
      loop!.abort(data.id);
      break;
    case "resume":
      loop!.resume(data.id, data.resumption);
      break;
    case "stats":
      thread.postMessage({ type: "stats", id: data.id, stats: loop!.stats() });
      break;
    case "close":
      loop?.close();
      break;
  }
};

async function run(options: EngineWorkerOptions, plugins: readonly PluginBundle[]): Promise<void> {
  const gpu = await Gpu.open();
  const failed = new Promise<never>((_, reject) => {
    gpu.device.lost.then(({ message }) => reject(new Error(`The GPU device was lost: ${message}`)));
    gpu.device.addEventListener("uncapturederror", (event) => {
      reject(new Error(`The GPU reported an error: ${(event as GPUUncapturedErrorEvent).error.message}`));
    });
  });
  try {
    await Promise.race([serve(gpu, options, plugins), failed]);
  } catch (error) {
    // Calls on a lost device may fail before the loss is reported, which says more.
    await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, LOSS_MILLISECONDS))]);
    throw error;
  } finally {
    failed.catch(() => {});
    gpu.destroy();
  }
  thread.postMessage({ type: "closed" });
  thread.close();
}

async function serve(gpu: Gpu, options: EngineWorkerOptions, plugins: readonly PluginBundle[]): Promise<void> {
  const file = await openModel(options.model);
  let config: ModelConfig;
  let sampling: SamplingDefaults;
  let model: Model;
  try {
    config = await readModelConfig(file);
    sampling = await readSamplingDefaults(file);
    const serving = servingOptions(gpu, config, options);
    model = await Model.load(
      gpu,
      file,
      config,
      serving,
      (progress) => thread.postMessage({ type: "progress", progress }),
    ).catch((error) => {
      if (!(error instanceof BindingLimitError)) throw error;
      const { maxBatch, contextLength } = serving;
      throw new SizeError(
        `${error.message}; fewer sequences than ${maxBatch} (--max-batch) or a context shorter than ${contextLength} ` +
          "tokens (--context) need less",
      );
    });
    const { compressor } = model;
    POLICIES.runnable = (score) => compressor.runnable(score);
    changePlugins = async (plugins) => {
      const files = plugins.map(loadPlugin);
      await compileKernels((step) => compressor.compile(step), config, files);
      const before = POLICIES.files;
      POLICIES.setFiles(files);
      closeLater(before);
    };
    await changePlugins(plugins);
    await warmUp(model, POLICIES, (progress) => thread.postMessage({ type: "progress", progress }));
    thread.postMessage({
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

  // Events of a turn travel together: the loop emits them between two of its waits.
  let events: { id: number; event: GenerationEvent }[] = [];
  const emit = (id: number, event: GenerationEvent) => {
    if (events.length === 0) {
      queueMicrotask(() => {
        thread.postMessage({ type: "events", events });
        events = [];
      });
    }
    events.push({ id, event });
  };
  loop = new TurnLoop(model, POLICIES, emit, log, workerGuides(() => vocabulary!));
  await loop.run();
}

/** Has a line for people written to standard error. */
function log(message: string): void {
  thread.postMessage({ type: "log", message });
}

/** Fills in what the user left open, and refuses what this adapter cannot hold. */
function servingOptions(gpu: Gpu, config: ModelConfig, options: EngineWorkerOptions) {
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
