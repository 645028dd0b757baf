/** @file The place where model, text and engine meet: loads a model and starts the worker that runs it. */
import { type EngineClient, startEngineWorker } from "../engine/client.ts";
import type { EngineWorkerOptions } from "../engine/protocol.ts";
import type { Engine, LoadProgress } from "../contract/engine.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import type { ModelFile } from "../formats/model_file.ts";
import { openModel } from "../formats/open.ts";
import type { PluginFile, PolicyRegistry } from "../policy/registry.ts";
import { withoutKernels } from "../policy/steps.ts";
import { type ChatTemplate, loadChatTemplate } from "../text/chat_template.ts";
import type { ConversationOptions } from "../text/conversation_template.ts";
import { packVocabulary } from "../text/grammar/packed_vocabulary.ts";
import { createTextProcessor, type TextEncoding, type TextProcessor } from "../text/text_processor.ts";
import { checkSizes } from "./check_sizes.ts";
import { EMBEDDED_MODEL } from "./embedded_model.ts";
import type { Device } from "./device.ts";
import { RestartingEngine } from "./restarting_engine.ts";

/** What to serve, and how. */
export interface EngineOptions extends Omit<EngineWorkerOptions, "model">, ConversationOptions {
  /** Path of a GGUF file or a safetensors directory; the model that comes with Ebb by default. */
  readonly model?: string;
  /** The GPU by default. */
  readonly device?: Device;
  /** Policy and budget of requests that name none. */
  readonly defaultKvCache: KvCacheChoice;
  /** Sequences that may wait for admission; more are refused. */
  readonly maxQueue: number;
}

/** The modules of the engines' threads. */
const THREADS: Record<Device, URL> = {
  gpu: new URL("../engine/worker.ts", import.meta.url),
  cpu: new URL("../cpu/worker.ts", import.meta.url),
};

/** A loaded model, ready for requests. */
export interface RunningEngine {
  readonly engine: Engine;
  readonly text: TextEncoding;
  readonly chatTemplate: ChatTemplate;
  /** Resolves with the reason if the engine dies once too often. */
  readonly failed: Promise<Error>;
  /** See {@link EngineClient.changePlugins}. */
  changePlugins(files: readonly PluginFile[]): Promise<void>;
  /** Ends what still runs, and gives back the GPU and the threads. */
  close(): Promise<void>;
}

/** What is known of a model before its weights are read. */
export interface ModelHead extends Pick<RunningEngine, "text" | "chatTemplate"> {
  /** Longest prompt plus completion, in tokens; a device may set it lower. */
  readonly contextLength: number;
}

/**
 * Loads a model and starts the engine worker.
 *
 * @param beforeLoading may refuse, by throwing, what cannot be done with the model
 * @throws {ModelFileError} when the file is damaged or not supported
 * @throws {SizeError} when the device or the model cannot have a size that is asked for
 */
export async function startEngine(
  { model = EMBEDDED_MODEL, device = "gpu", specialTokensInMessages, ...options }: EngineOptions,
  policies: PolicyRegistry,
  onProgress: (progress: LoadProgress) => void,
  beforeLoading: (head: ModelHead) => void | Promise<void> = () => {},
): Promise<RunningEngine> {
  if (device === "cpu") policies.runnable = withoutKernels;
  const { text, chatTemplate } = await withModel(model, async (file) => {
    const config = await readModelConfig(file);
    checkSizes(config, options, device);
    const read = await textOf(file, { specialTokensInMessages });
    try {
      await beforeLoading({ ...read, contextLength: options.context ?? config.contextLength });
    } catch (error) {
      read.text.close();
      throw error;
    }
    return read;
  });
  /** The one that runs. */
  let client: EngineClient;
  const start = async (report?: (progress: LoadProgress) => void) =>
    client = await startEngineWorker({
      ...options,
      thread: THREADS[device],
      model,
      policies,
      vocabulary: () => packVocabulary(text.tokenizer),
      log: console.error,
    }, report);
  const first = await start(onProgress).catch((error) => {
    text.close();
    throw error;
  });
  const engine = new RestartingEngine(first, start, console.error);
  return {
    engine,
    text,
    chatTemplate,
    failed: engine.failed,
    changePlugins: (files) => client.changePlugins(files),
    async close() {
      text.close();
      await engine.close();
      policies.files.forEach((file) => file.close?.());
    },
  };
}

/**
 * What a model file says about text. Close `text` in the end.
 *
 * @throws {ModelFileError} when the file is damaged or not supported
 */
export async function loadText(
  model: string,
  options: ConversationOptions = {},
): Promise<{ text: TextProcessor; chatTemplate: ChatTemplate }> {
  return await withModel(model, (file) => textOf(file, options));
}

async function textOf(file: ModelFile, options: ConversationOptions) {
  const text = await createTextProcessor(file, (warning) => console.error(`${file.path}: ${warning}`));
  return { text, chatTemplate: await loadChatTemplate(file, text.tokenizer, options) };
}

async function withModel<Result>(model: string, use: (file: ModelFile) => Promise<Result>): Promise<Result> {
  const file = await openModel(model);
  try {
    return await use(file);
  } finally {
    file.close();
  }
}
