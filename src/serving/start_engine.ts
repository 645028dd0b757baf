/** @file The place where the command line meets the engine: loads a model and starts the worker that runs it. */
import { startEngineWorker } from "../engine/client.ts";
import type { Engine, LoadProgress } from "../contract/engine.ts";
import { UnservableRequestError } from "../contract/errors.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import { openModel } from "../formats/open.ts";
import { parseKvCacheChoice } from "../policy/choice.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import type { TextEncoding } from "../routes/context.ts";
import { type ChatTemplate, loadChatTemplate } from "../text/chat_template.ts";
import type { ConversationOptions } from "../text/conversation_template.ts";
import { createTextProcessor, type TextProcessor } from "../text/text_processor.ts";
import { EMBEDDED_MODEL } from "./embedded_model.ts";
import { RestartingEngine } from "./restarting_engine.ts";
import { ExitError } from "../cli/exit_codes.ts";
import type { ServeOptions } from "../cli/flags.ts";

/** The flags that concern the engine, see flags.ts. */
export type EngineOptions =
  & Pick<
    ServeOptions,
    | "model"
    | "policy"
    | "kvBudget"
    | "decodeEviction"
    | "context"
    | "kvMemory"
    | "kvType"
    | "maxBatch"
    | "maxQueue"
    | "modelId"
  >
  & ConversationOptions;

/** A loaded model, ready for requests. */
export interface RunningEngine {
  readonly engine: Engine;
  readonly text: TextEncoding;
  readonly chatTemplate: ChatTemplate;
  /** Resolves with the reason if the engine dies once too often. */
  readonly failed: Promise<Error>;
  /** Ends what still runs, and gives back the GPU and the threads. */
  close(): Promise<void>;
}

/**
 * Loads a model and starts the engine worker.
 *
 * @throws {ModelFileError} when the file is damaged or not supported
 * @throws {ExitError} when the policy cannot evict while tokens are generated, but is asked to
 */
export async function startEngine(
  { model = EMBEDDED_MODEL, policy, kvBudget, decodeEviction, specialTokensInMessages, ...options }: EngineOptions,
  policies: PolicyRegistry,
  onProgress: (progress: LoadProgress) => void,
): Promise<RunningEngine> {
  const defaultKvCache = kvCacheOf({ policy, kvBudget, decodeEviction }, policies);
  const { text, chatTemplate } = await loadText(model, { specialTokensInMessages });
  const start = (report?: (progress: LoadProgress) => void) =>
    startEngineWorker({ ...options, model, defaultKvCache, policies, log: console.error }, report);
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
    async close() {
      text.close();
      await engine.close();
    },
  };
}

/** What the flags say about the KV cache. */
function kvCacheOf(
  { policy, kvBudget: budget, decodeEviction }: Pick<EngineOptions, "policy" | "kvBudget" | "decodeEviction">,
  policies: PolicyRegistry,
): KvCacheChoice {
  try {
    return parseKvCacheChoice({ decode_eviction: decodeEviction }, { policy, budget }, policies);
  } catch (error) {
    // A policy and a budget have been looked at by themselves: what is left is that the policy cannot do it.
    if (error instanceof UnservableRequestError) {
      throw new ExitError("usage", `--decode-eviction ${decodeEviction}: ${error.message}`);
    }
    throw error;
  }
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
  const file = await openModel(model);
  try {
    const text = await createTextProcessor(file, (warning) => console.error(`${file.path}: ${warning}`));
    return { text, chatTemplate: await loadChatTemplate(file, text.tokenizer, options) };
  } finally {
    file.close();
  }
}
