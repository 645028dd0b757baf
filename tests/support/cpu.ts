/** @file The CPU engine in the test's own thread, with a view of the rows that its sequences hold. */
import { readModelConfig } from "../../src/architecture/read_config.ts";
import { ropeTable } from "../../src/architecture/rope.ts";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { PrefixIndex } from "../../src/cache/prefix_index.ts";
import { PrefixCache } from "../../src/cpu/cache/prefix_cache.ts";
import type { EngineStats } from "../../src/contract/engine.ts";
import type { GenerationEvent, GenerationRequest } from "../../src/contract/generation.ts";
import { REHEARSAL_CHUNK } from "../../src/scores/rehearsal.ts";
import { Forward } from "../../src/cpu/forward.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { Scheduler } from "../../src/cpu/scheduler.ts";
import type { Sequence } from "../../src/cpu/sequence.ts";
import { Admission } from "../../src/cpu/admission.ts";
import { F32Products } from "../../src/cpu/products/f32_products.ts";
import { ALONE } from "./crew_threads.ts";
import { Int8Products } from "../../src/cpu/products/int8_products.ts";
import type { Products } from "../../src/cpu/products/products.ts";
import type { WeightType } from "../../src/cpu/memory_plan.ts";
import type { PolicyRegistry } from "../../src/policy/registry.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { openModel } from "../../src/formats/open.ts";
import { dimensionsOf } from "../../src/model/dimensions.ts";
import { type Outcome, outcomeOf } from "./engine.ts";

let runtime: Promise<Onnxruntime> | undefined;

/** One for all tests of a file; a single thread, so that nothing stays behind. */
export function testRuntime(): Promise<Onnxruntime> {
  return runtime ??= Onnxruntime.open(1);
}

/** A model on the CPU. */
export interface CpuModel {
  readonly forward: Forward;
  readonly pool: BlockPool;
  readonly prefixCache: PrefixCache;
  readonly maxBatch: number;
}

/** Loads a model file. */
export async function loadCpuModel(
  path: string,
  { contextLength = 512, maxBatch = 4, kvMemory = 8 * 2 ** 20, weights = "f32", withoutCrew = false, prefixCache = 0 }:
    {
      readonly contextLength?: number;
      readonly maxBatch?: number;
      readonly kvMemory?: number;
      readonly weights?: WeightType;
      readonly prefixCache?: number;
      /** Lets onnxruntime compute attention where a kernel of ours would. */
      readonly withoutCrew?: boolean;
    } = {},
): Promise<CpuModel> {
  const file = await openModel(path);
  try {
    const config = await readModelConfig(file);
    const dimensions = dimensionsOf(config, { contextLength, maxBatch, kvMemory, kvElement: "f32" });
    const runtime = await testRuntime();
    const products = weights === "f32"
      ? await F32Products.load(runtime, file, config)
      : await Int8Products.load(runtime, file, config, maxBatch, ALONE);
    const table = ropeTable(config.rope, dimensions.positions);
    const { blockBytes } = dimensions;
    const arenas = [Math.floor(kvMemory / blockBytes)];
    const { layerCount, kvHeadCount, headSize } = config;
    const pool = new BlockPool({ arenas, blockBytes, layerCount });
    const index = new PrefixIndex(pool, layerCount, Math.floor(prefixCache / blockBytes), REHEARSAL_CHUNK);
    return {
      forward: await Forward.create(runtime, config, withoutCrew ? crewless(products) : products, table, maxBatch),
      pool,
      prefixCache: new PrefixCache(index, kvHeadCount, headSize),
      maxBatch,
    };
  } finally {
    file.close();
  }
}

/** The same products, but for what is computed beside them. */
function crewless(products: Products): Products {
  return new Proxy(products, {
    get(target, name) {
      if (name === "crew") return null;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Keys `[kvHead][row][headSize]` of every layer, ranked rows first. */
export type HeldKeys = number[][][];

/** What a sequence holds now. */
function heldKeys({ layers }: Sequence, headSize: number): HeldKeys {
  return layers.map((rows) =>
    Array.from(rows.ranked, (_, head) => {
      const first = rows.firstElement(head);
      return Array.from(rows.keys.subarray(first, first + rows.rows(head) * headSize));
    })
  );
}

/** What came of requests that all waited from the start. */
export interface CpuRun {
  readonly outcomes: Outcome[];
  readonly events: GenerationEvent[][];
  /** Of every request, when its prompt had been read. */
  readonly held: HeldKeys[];
  readonly stats: EngineStats;
}

/**
 * Runs requests together.
 *
 * @param onEvent called after an event was noted down, with what requests can be told
 */
export async function runOnCpu(
  { forward, prefixCache, maxBatch }: CpuModel,
  requests: readonly GenerationRequest[],
  onEvent: (id: number, event: GenerationEvent, scheduler: Scheduler) => void = () => {},
  policies: PolicyRegistry = builtInPolicies,
): Promise<CpuRun> {
  const events: GenerationEvent[][] = requests.map(() => []);
  const held: HeldKeys[] = [];
  const sequences = new Map<number, Sequence>();
  const { tryAdmit } = Admission.prototype;
  Admission.prototype.tryAdmit = function (sequence) {
    sequences.set(sequence.id, sequence);
    return tryAdmit.call(this, sequence);
  };
  let open = requests.length;
  const scheduler = new Scheduler(forward, prefixCache, maxBatch, policies, (id, event) => {
    events[id].push(event);
    if (event.type === "prefilled") held[id] = heldKeys(sequences.get(id)!, forward.config.headSize);
    if (event.type === "finished" && --open === 0) scheduler.close();
    onEvent(id, event, scheduler);
  }, () => {});
  try {
    requests.forEach((request, id) => scheduler.add(id, request));
    await scheduler.run();
  } finally {
    Admission.prototype.tryAdmit = tryAdmit;
  }
  return { outcomes: events.map(outcomeOf), events, held, stats: scheduler.stats() };
}
