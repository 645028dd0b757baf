/**
 * @file The models of a server: loaded when they are first asked for, and given up when others need the room.
 *
 *     unloaded --asked for--> loading --> loaded --least recently used--> unloading --its requests have ended--> unloaded
 *                                |          |
 *                                `----------+--> failed; tried again when it is asked for again
 *
 * Loads and unloads come one after the other. Whoever uses a model holds it: it is not unloaded before all have let go. Those who
 * ask for one that is on its way out, or in, wait until it is there.
 */
import type { Engine, ServedModel } from "../contract/engine.ts";
import { EngineUnavailableError } from "../contract/errors.ts";
import type { ChatTemplate } from "../text/chat_template.ts";
import type { TextEncoding } from "../text/text_processor.ts";
import type { RunningEngine } from "./start_engine.ts";

/** A model at work, as routes see it. */
export interface LoadedModel {
  readonly engine: Engine;
  readonly text: TextEncoding;
  readonly chatTemplate: ChatTemplate;
}

export type ModelState = "unloaded" | "loading" | "loaded" | "unloading" | "failed";

/** What is known of a model, loaded or not. */
export interface ModelStatus {
  readonly id: string;
  readonly state: ModelState;
  /** While it is loaded. */
  readonly loaded?: LoadedModel;
  /** As it was when it was last loaded. */
  readonly described?: { readonly model: ServedModel; readonly device: string };
}

/** A model in use. */
export interface Lease {
  readonly id: string;
  readonly model: LoadedModel;
  /** Lets go of it. Idempotent. */
  release(): void;
}

/** The models that requests can name. */
export interface Models {
  /** The id of the model that a name means, which may be another name of it; no name means the first. */
  idOf(name: string | null | undefined): string | undefined;
  /** All, the first one first. */
  list(): readonly ModelStatus[];
  /**
   * Waits until a model is loaded, and takes hold of it.
   *
   * @param id of a model that there is
   * @throws {ModelLoadError} when it cannot be loaded @throws {EngineUnavailableError} when the server closes
   */
  use(id: string): Promise<Lease>;
}

/** A model cannot be loaded: HTTP 503 for those who asked for it. */
export class ModelLoadError extends Error {
  override name = "ModelLoadError";
}

/** One model, which is loaded already. */
export function onlyModel(model: LoadedModel, aliases: readonly string[] = []): Models {
  const { engine } = model;
  const { id } = engine.model;
  const names = new Set([id, ...aliases]);
  const lease = { id, model, release() {} };
  return {
    idOf: (name) => name === null || name === undefined || names.has(name) ? id : undefined,
    list: () => [{ id, state: "loaded", loaded: model, described: engine }],
    use: () => Promise.resolve(lease),
  };
}

/** A model that can be loaded. */
export interface ModelSource {
  readonly id: string;
  /** Other names of it. */
  readonly aliases?: readonly string[];
  load(): Promise<RunningEngine>;
}

interface Entry {
  readonly source: ModelSource;
  state: ModelState;
  running?: RunningEngine;
  described?: ModelStatus["described"];
  leases: number;
  /** Larger is more recent. */
  usedAt: number;
  /** Who waits for it to be loaded. */
  waiting: PromiseWithResolvers<Lease>[];
  /** Called when nobody holds it any more. */
  onIdle?: () => void;
}

export class ModelKeeper implements Models {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #names: ReadonlyMap<string, string>;
  /** What is loaded and unloaded, one after the other. */
  #turns: Promise<void> = Promise.resolve();
  #uses = 0;
  #isClosed = false;

  /**
   * @param sources at least one; ids and aliases all different
   * @param mostLoaded how many may be loaded at once
   * @param log takes a line for people
   */
  constructor(
    sources: readonly ModelSource[],
    readonly mostLoaded: number,
    readonly log: (line: string) => void,
  ) {
    this.#entries = new Map(
      sources.map((source) => [source.id, { source, state: "unloaded", leases: 0, usedAt: 0, waiting: [] }]),
    );
    this.#names = new Map(sources.flatMap(({ id, aliases = [] }) => [id, ...aliases].map((name) => [name, id])));
  }

  idOf(name: string | null | undefined): string | undefined {
    return name === null || name === undefined ? this.list()[0].id : this.#names.get(name);
  }

  list(): readonly ModelStatus[] {
    return [...this.#entries.values()].map(({ source: { id }, state, running, described }) => (
      { id, state, loaded: running, described }
    ));
  }

  /** The engines that are loaded now. */
  get running(): readonly RunningEngine[] {
    return [...this.#entries.values()].flatMap(({ running }) => running ?? []);
  }

  use(id: string): Promise<Lease> {
    const entry = this.#entries.get(id)!;
    if (this.#isClosed) return Promise.reject(closedError());
    if (entry.state === "loaded") return Promise.resolve(this.#lease(entry));
    const waiter = Promise.withResolvers<Lease>();
    entry.waiting.push(waiter);
    // The first of them has it loaded for all.
    if (entry.waiting.length === 1) this.#turns = this.#turns.then(() => this.#load(entry));
    return waiter.promise;
  }

  /** Unloads all, whoever uses them, and takes no more requests. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#entries.values()) {
      entry.onIdle?.();
      entry.waiting.splice(0).forEach((waiter) => waiter.reject(closedError()));
    }
    await this.#turns;
    await Promise.all([...this.#entries.values()].map((entry) => this.#stop(entry, "unloaded")));
  }

  #lease(entry: Entry): Lease {
    const { source: { id }, running } = entry;
    entry.leases++;
    entry.usedAt = ++this.#uses;
    let isHeld = true;
    return {
      id,
      model: running!,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        entry.usedAt = ++this.#uses;
        if (--entry.leases === 0) entry.onIdle?.();
      },
    };
  }

  /** Never throws: it is told to those who wait. */
  async #load(entry: Entry): Promise<void> {
    const { source } = entry;
    try {
      await this.#makeRoom();
      if (this.#isClosed) return;
      entry.state = "loading";
      const running = await source.load();
      entry.running = running;
      entry.state = "loaded";
      entry.described = running.engine;
      running.failed.then((reason) => this.#fail(entry, running, reason));
      // At once, before it can be unloaded again.
      entry.waiting.splice(0).forEach((waiter) => waiter.resolve(this.#lease(entry)));
    } catch (error) {
      entry.state = "failed";
      this.log(`The model ${source.id} could not be loaded: ${(error as Error).message}`);
      const told = new ModelLoadError(`The model '${source.id}' could not be loaded; the server's log has the cause`);
      entry.waiting.splice(0).forEach((waiter) => waiter.reject(told));
    }
  }

  async #makeRoom(): Promise<void> {
    while (!this.#isClosed) {
      const loaded = [...this.#entries.values()].filter(({ state }) => state === "loaded");
      if (loaded.length < this.mostLoaded) return;
      // Those that nobody holds go first.
      const [oldest] = loaded.sort((a, b) => Math.sign(a.leases) - Math.sign(b.leases) || a.usedAt - b.usedAt);
      oldest.state = "unloading";
      if (oldest.leases > 0) await new Promise<void>((resolve) => oldest.onIdle = resolve);
      oldest.onIdle = undefined;
      // It can have died meanwhile.
      if (oldest.running === undefined) continue;
      await this.#stop(oldest, "unloaded");
      this.log(`Unloaded the model ${oldest.source.id}`);
    }
  }

  async #stop(entry: Entry, state: ModelState): Promise<void> {
    const { running } = entry;
    entry.running = undefined;
    entry.state = state;
    await running?.close().catch((error) => this.log(`${entry.source.id}: ${(error as Error).message}`));
  }

  /** An engine has died once too often: it costs its own requests. */
  async #fail(entry: Entry, running: RunningEngine, reason: Error): Promise<void> {
    if (this.#isClosed || entry.running !== running) return;
    this.log(`The engine of the model ${entry.source.id} failed: ${reason.message}`);
    await this.#stop(entry, "failed");
  }
}

function closedError(): EngineUnavailableError {
  return new EngineUnavailableError("The server is shutting down");
}
