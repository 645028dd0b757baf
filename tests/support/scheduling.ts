/** @file The engine's loop in the test's own thread, with a view of what it holds. */
import assert from "node:assert/strict";
import { Admission } from "../../src/engine/admission.ts";
import type { EngineStats } from "../../src/contract/engine.ts";
import type { GenerationEvent, GenerationRequest } from "../../src/contract/generation.ts";
import { registry } from "./policies.ts";
import type { PolicyRegistry } from "../../src/policy/registry.ts";
import { TurnLoop } from "../../src/engine/turn_loop.ts";
import { type PackedHeads, SequenceCache } from "../../src/cache/sequence_cache.ts";
import { Gpu } from "../../src/gpu/gpu.ts";
import type { ServingOptions } from "../../src/model/dimensions.ts";
import type { Model } from "../../src/model/model.ts";
import { withFile } from "./files.ts";
import { readBuffer } from "../../fixtures/gpu.ts";
import { loadTestModel } from "./greedy.ts";
import { type Outcome, outcomeOf } from "./engine.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

/** A model on a device of its own, whose block tables and arenas can be looked at. */
export interface ObservedModel {
  readonly model: Model;
  /** The block table that was last uploaded for a slot's layer. */
  table(slot: number, layer: number): readonly number[];
  /** The heads that were last uploaded for a slot's layer; `null` where it is not packed. */
  heads(slot: number, layer: number): PackedHeads | null;
  /** The f32 contents of an arena: `[block][kvHead][key = 0 | value = 1][BLOCK_ROWS][headSize]`. */
  readArena(arena: number): Promise<Float32Array>;
}

/** @param maxBindingBytes What a binding is to hold at most, where it should be less than the adapter allows */
export async function observedModel(
  options: TinyModelOptions,
  serving: Partial<ServingOptions> = {},
  maxBindingBytes?: number,
): Promise<ObservedModel> {
  const gpu = await Gpu.open();
  if (maxBindingBytes !== undefined) Object.defineProperty(gpu, "maxBindingBytes", { value: maxBindingBytes });
  const arenas: GPUBuffer[] = [];
  const createBuffer = gpu.createBuffer.bind(gpu);
  gpu.createBuffer = (label, ...rest) => {
    const buffer = createBuffer(label, ...rest);
    if (label.startsWith("KV arena")) arenas.push(buffer);
    return buffer;
  };
  const model = await withFile(tinyGguf(options), (path) => loadTestModel(gpu, path, { kvElement: "f32", ...serving }));
  const { slots } = model;
  const tables = new Map<number, readonly number[]>();
  const packed = new Map<number, PackedHeads | null>();
  const writeTable = slots.writeTable.bind(slots);
  slots.writeTable = (slot, layer, first, table, heads) => {
    const offset = slots.tableOffset(slot, layer);
    tables.set(offset, [...table]);
    // A table that is written from its start is another layer's.
    if (heads !== null || first === 0) packed.set(offset, heads);
    writeTable(slot, layer, first, table, heads);
  };
  return {
    model,
    table: (slot, layer) => tables.get(slots.tableOffset(slot, layer)) ?? [],
    heads: (slot, layer) => packed.get(slots.tableOffset(slot, layer)) ?? null,
    readArena: async (arena) => new Float32Array(await readBuffer(gpu, arenas[arena])),
  };
}

/** A loop at work, and all that it reports. */
export class TestRun {
  readonly loop: TurnLoop;
  /** Of every request, in the order of {@link add}. */
  readonly events: GenerationEvent[][] = [];
  readonly logged: string[] = [];
  readonly #ended: Promise<void>;
  #allIn = false;
  #open = 0;

  /** @param onEvent Called after an event was noted down; must not abort at once: events are messages */
  constructor(
    model: Model,
    onEvent: (id: number, event: GenerationEvent) => void = () => {},
    policies: PolicyRegistry = registry,
  ) {
    this.loop = new TurnLoop(model, policies, (id, event) => {
      this.events[id].push(event);
      if (event.type === "finished") this.#open--;
      onEvent(id, event);
      this.#closeIfDone();
    }, (line) => this.logged.push(line));
    // Not before what was added in this turn waits.
    this.#ended = Promise.resolve().then(() => this.loop.run());
    // end() reports it.
    this.#ended.catch(() => {});
  }

  /** Queues a request and returns its id. */
  add(request: GenerationRequest): number {
    const id = this.events.push([]) - 1;
    this.#open++;
    this.loop.add(id, request);
    return id;
  }

  /** Waits for the last event of every request. */
  async end(): Promise<{ outcomes: Outcome[]; stats: EngineStats }> {
    this.#allIn = true;
    this.#closeIfDone();
    await this.#ended;
    const stats = this.loop.stats();
    this.loop.destroy();
    return { outcomes: this.events.map(outcomeOf), stats };
  }

  #closeIfDone(): void {
    if (this.#allIn && this.#open === 0) this.loop.close();
  }
}

/** Runs requests that all wait from the start, so that they share packs, and returns what each of them reported. */
export async function runTogether(model: Model, requests: readonly GenerationRequest[]): Promise<Outcome[]> {
  const run = new TestRun(model);
  for (const request of requests) run.add(request);
  return (await run.end()).outcomes;
}

/** Calls `check` after every allocation with the blocks that a sequence holds and that it was promised. */
export async function watchingPromises(
  check: (held: number, promised: number) => void,
  action: () => Promise<void>,
): Promise<void> {
  const promises = new WeakMap<SequenceCache, number>();
  const { tryAdmit } = Admission.prototype;
  const { setRanked, truncateHeads, appendRecent, reserveRecent, rearrange } = SequenceCache.prototype;
  const look = (cache: SequenceCache) => check(cache.blocks, promises.get(cache)!);
  Admission.prototype.tryAdmit = function (sequence) {
    const admitted = tryAdmit.call(this, sequence);
    if (admitted) promises.set(sequence.residence.cache, sequence.forecast.blocks);
    return admitted;
  };
  SequenceCache.prototype.setRanked = function (...given) {
    setRanked.apply(this, given);
    look(this);
  };
  SequenceCache.prototype.truncateHeads = function (layer, rows) {
    const { used, peak } = { used: this.pool.usedBlocks, peak: this.pool.peakBlocks };
    this.pool.resetPeak();
    const held = this.blocks;
    const moves = truncateHeads.call(this, layer, rows);
    // What was held at once, before the old blocks were released.
    check(held + this.pool.peakBlocks - used, promises.get(this)!);
    assert.ok(this.pool.peakBlocks <= Math.max(peak, used + held));
    return moves;
  };
  SequenceCache.prototype.appendRecent = function (...given) {
    appendRecent.apply(this, given);
    look(this);
  };
  SequenceCache.prototype.reserveRecent = function (...given) {
    reserveRecent.apply(this, given);
    look(this);
  };
  SequenceCache.prototype.rearrange = function (...given) {
    rearrange.apply(this, given);
    look(this);
  };
  try {
    await action();
  } finally {
    Admission.prototype.tryAdmit = tryAdmit;
    Object.assign(SequenceCache.prototype, { setRanked, truncateHeads, appendRecent, reserveRecent, rearrange });
  }
}
