/** @file An engine's thread, whatever computes: the client's messages go to its loop, and what the loop reports goes to the client. */
import type { EngineStats } from "../contract/engine.ts";
import type { GenerationEvent, GenerationRequest, Resumption } from "../contract/generation.ts";
import { BUILT_IN_POLICIES } from "../plugins/built_in.ts";
import type { PluginBundle } from "../policy/loading/plugin_bundle.ts";
import { type PluginFile, PolicyRegistry } from "../policy/registry.ts";
import { closeLater, loadPlugin } from "../policy/sandbox/load_plugin.ts";
import type { PackedVocabulary } from "../text/grammar/packed_vocabulary.ts";
import { type GuidesMaker, workerGuides } from "./guides.ts";
import type { EngineFailure, EngineWorkerOptions, FromWorker, ToWorker } from "./protocol.ts";

/** Serves requests until it is closed. */
export interface EngineLoop {
  add(id: number, request: GenerationRequest): void;
  abort(id: number): void;
  resume(id: number, resumption: Resumption): void;
  stats(): EngineStats;
  close(): void;
  run(): Promise<void>;
}

const port = self as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  close(): void;
};

export class EngineThread {
  /** What requests choose from; the client knows the same. */
  readonly policies = new PolicyRegistry(BUILT_IN_POLICIES);
  readonly guides: GuidesMaker = workerGuides(() => this.#vocabulary!);
  /** Gets files of plugins ready to be used, or throws where that cannot be. */
  preparePlugins: (files: readonly PluginFile[]) => Promise<void> = async () => {};
  #loop: EngineLoop | null = null;
  #vocabulary: PackedVocabulary | null = null;
  #events: { id: number; event: GenerationEvent }[] = [];

  /** Takes the client's messages. @param work loads the model, and serves it until it is told to stop */
  static start(
    work: (thread: EngineThread, options: EngineWorkerOptions, plugins: readonly PluginBundle[]) => Promise<void>,
  ): void {
    const thread = new EngineThread();
    port.onmessage = ({ data }) => {
      if (data.type !== "start") return thread.#take(data);
      work(thread, data.options, data.plugins).then(() => {
        thread.post({ type: "closed" });
        port.close();
      }, (error) => thread.post({ type: "failed", failure: failureOf(error) }));
    };
  }

  post(message: FromWorker): void {
    port.postMessage(message);
  }

  /** Has a line for people written to standard error. */
  readonly log = (message: string): void => this.post({ type: "log", message });

  /** Tells what a generation reports. Events of a turn travel together: the loop emits them between two of its waits. */
  readonly emit = (id: number, event: GenerationEvent): void => {
    if (this.#events.length === 0) {
      queueMicrotask(() => {
        this.post({ type: "events", events: this.#events });
        this.#events = [];
      });
    }
    this.#events.push({ id, event });
  };

  /** Sets the plugins that requests choose from, once they are ready; those before stay where they cannot be. */
  async setPlugins(bundles: readonly PluginBundle[]): Promise<void> {
    const files = bundles.map(loadPlugin);
    await this.preparePlugins(files);
    const before = this.policies.files;
    this.policies.setFiles(files);
    closeLater(before);
  }

  /** Serves requests until the client says that it is enough. */
  async serve(loop: EngineLoop): Promise<void> {
    this.#loop = loop;
    await loop.run();
  }

  #take(data: Exclude<ToWorker, { type: "start" }>): void {
    switch (data.type) {
      case "vocabulary":
        this.#vocabulary = data.vocabulary;
        break;
      case "plugins":
        this.setPlugins(data.plugins).then(
          () => this.post({ type: "plugins", failure: null }),
          (error) => this.post({ type: "plugins", failure: failureOf(error) }),
        );
        break;
      case "generate":
        this.#loop!.add(data.id, data.request);
        break;
      case "abort":
        this.#loop!.abort(data.id);
        break;
      case "resume":
        this.#loop!.resume(data.id, data.resumption);
        break;
      case "stats":
        this.post({ type: "stats", id: data.id, stats: this.#loop!.stats() });
        break;
      case "close":
        this.#loop?.close();
        break;
      default:
        data satisfies never;
    }
  }
}

function failureOf(error: unknown): EngineFailure {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { name, message };
}
