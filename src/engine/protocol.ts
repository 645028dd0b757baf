/** @file The messages between the engine's client and its worker. */
import type { KvElement } from "../kernels/kv_element.ts";
import type { EngineStats, LoadProgress, ServedModel } from "../contract/engine.ts";
import type { GenerationEvent, GenerationRequest, Resumption } from "../contract/generation.ts";
import type { PackedVocabulary } from "../text/grammar/packed_vocabulary.ts";
import type { PluginBundle } from "../policy/loading/plugin_bundle.ts";
import type { CacheShape } from "./forecast.ts";

/** How the worker is to serve a model. */
export interface EngineWorkerOptions {
  /** Threads that compute, on the CPU; as many as it has cores by default, up to 16. */
  readonly threads?: number;
  /** What the CPU keeps weights as; its own choice by default. */
  readonly cpuWeights?: "f32" | "int8";
  /** Path of a GGUF file or a safetensors directory. */
  readonly model: string;
  /** Id in the API; the file's name by default. */
  readonly modelId?: string;
  /** Longest prompt plus completion in tokens; the model's own by default. */
  readonly context?: number;
  /** Bytes of the block pool. */
  readonly kvMemory?: number;
  /** Bytes of it that may be kept for prompts to come while nobody needs them; 0 by default. */
  readonly prefixCache?: number;
  /** f16 by default on the GPU; always f32 on the CPU. */
  readonly kvType?: KvElement;
  readonly maxBatch: number;
  /** The policy whose kernels run before any request waits for them; none by default. */
  readonly warmUpPolicy?: string;
}

/** What the client learns when the worker is ready. */
export interface EngineReady {
  readonly model: ServedModel;
  readonly cache: CacheShape;
  /** Blocks of the largest arena: no sequence can have more. */
  readonly largestArena: number;
  readonly blockBytes: number;
  readonly maxBatch: number;
  /** What computes: the name of the GPU's adapter, or the CPU, with what runs on it. */
  readonly device: string;
}

/** Why the worker stopped. */
export interface EngineFailure {
  /** The error's class, as far as the client tells them apart. */
  readonly name: string;
  readonly message: string;
}

export type ToWorker =
  | { readonly type: "start"; readonly options: EngineWorkerOptions; readonly plugins: readonly PluginBundle[] }
  /** From now on, requests choose from these. */
  | { readonly type: "plugins"; readonly plugins: readonly PluginBundle[] }
  /** Comes before the first request with a grammar. */
  | { readonly type: "vocabulary"; readonly vocabulary: PackedVocabulary }
  | { readonly type: "generate"; readonly id: number; readonly request: GenerationRequest }
  | { readonly type: "abort"; readonly id: number }
  | { readonly type: "resume"; readonly id: number; readonly resumption: Resumption }
  | { readonly type: "stats"; readonly id: number }
  | { readonly type: "close" };

/** A thread that an engine wants beside its own. */
export interface HelperThread {
  /** URL of its module. */
  readonly module: string;
  /** Its first message. */
  readonly start: unknown;
}

export type FromWorker =
  /** To be started by the client: one that is started within a thread gets its first message a second late in Deno 2.9.6. */
  | { readonly type: "thread"; readonly thread: HelperThread }
  | { readonly type: "progress"; readonly progress: LoadProgress }
  | { readonly type: "ready"; readonly ready: EngineReady }
  | { readonly type: "events"; readonly events: readonly { readonly id: number; readonly event: GenerationEvent }[] }
  | { readonly type: "stats"; readonly id: number; readonly stats: EngineStats }
  | { readonly type: "log"; readonly message: string }
  /** Plugins have been changed, or why not: those before are still there then. */
  | { readonly type: "plugins"; readonly failure: EngineFailure | null }
  | { readonly type: "failed"; readonly failure: EngineFailure }
  | { readonly type: "closed" };
