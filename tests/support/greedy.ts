/**
 * @file Runs a model without an engine: prefills a pack of prompts, keeps every row, decodes greedily, and reads the
 * logits after every step.
 */
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { openModel } from "../../src/formats/open.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import type { BatchRow } from "../../src/model/batch_state.ts";
import { PREFILL_TILE_ROWS, type ServingOptions } from "../../src/model/dimensions.ts";
import { Model } from "../../src/model/model.ts";
import { readModelConfig } from "../../src/architecture/read_config.ts";
import { readBuffer } from "../../fixtures/gpu.ts";

export const TEST_SERVING: ServingOptions = {
  contextLength: 512,
  maxBatch: 4,
  kvElement: "f16",
  kvMemory: 8 * 2 ** 20,
};

/** Loads a model file onto a device. */
export async function loadTestModel(gpu: Gpu, path: string, serving: Partial<ServingOptions> = {}): Promise<Model> {
  const file = await openModel(path);
  try {
    return await Model.load(gpu, file, await readModelConfig(file), { ...TEST_SERVING, ...serving });
  } finally {
    file.close();
  }
}

/** What greedy decoding of one prompt gave. */
export interface GreedyResult {
  readonly tokens: number[];
  /** Logits from which each token was taken, `[vocabularySize]`. */
  readonly logits: Float32Array[];
}

/** Prefills all prompts in one pack and decodes `count` tokens of each in one batch. */
export async function greedy(
  model: Model,
  prompts: readonly (readonly number[])[],
  count: number,
): Promise<GreedyResult[]> {
  const {
    gpu,
    config,
    dimensions,
    slots,
    prefiller,
    compressor,
    decoder,
    sampler,
    decodeRows,
    firstSampler,
    firstRows,
  } = model;
  const recorder = new Recorder(gpu);
  const caches = prompts.map(() => new SequenceCache(model.pool, 0, config.layerCount));
  const starts = prompts.map((_, i) => prompts.slice(0, i).reduce((sum, prompt) => sum + prompt.length, 0));
  const uploadTables = () =>
    caches.forEach((cache, slot) =>
      cache.takeChanges((layer, first, table, heads) => slots.writeTable(slot, layer, first, table, heads))
    );
  const batch = (position: (prompt: readonly number[]) => number): BatchRow[] =>
    prompts.map((prompt, slot) => ({
      slot,
      arena: 0,
      position: position(prompt),
      rankedRows: caches[slot].rankedRows,
      packedBlocks: caches[slot].packedBlocks,
      recentRows: caches[slot].recentRows,
      adjustsLogits: false,
      isMasked: false,
      topLogprobs: false,
      forcedTokens: 0,
      queryLog: null,
    }));

  const segments = prompts.map((prompt, i) => ({
    tokens: Uint32Array.from(prompt),
    start: starts[i],
    window: 0,
    windowIndex: i,
  }));
  prefiller.place(segments);
  const total = prompts.reduce((sum, { length }) => sum + length, 0);
  prompts.forEach((prompt, slot) => {
    slots.startSlot(slot, {
      prompt: Uint32Array.from(prompt),
      maxTokens: count,
      stopTokens: [],
      sampling: GREEDY,
      kvCache: { policy: "full", budget: 0 },
    });
    for (let layer = 0; layer < config.layerCount; layer++) caches[slot].appendRecent(layer, prompt.length);
  });
  uploadTables();
  for (let layer = 0; layer < config.layerCount; layer++) {
    for (let first = 0; first < total; first += PREFILL_TILE_ROWS) {
      prefiller.recordTile(recorder, layer, first, Math.min(PREFILL_TILE_ROWS, total - first));
    }
    prompts.forEach((prompt, slot) =>
      compressor.gatherRange(recorder, 0, {
        start: starts[slot],
        count: prompt.length,
        tableOffset: slots.tableOffset(slot, layer),
      })
    );
  }
  const rowBytes = dimensions.hiddenStride * 4;
  prompts.forEach((prompt, slot) => {
    const last = starts[slot] + prompt.length - 1;
    recorder.copy(prefiller.hidden.buffer, last * rowBytes, firstSampler.hidden.buffer, slot * rowBytes, rowBytes);
  });

  const results: GreedyResult[] = prompts.map(() => ({ tokens: [], logits: [] }));
  const collect = async (from: typeof sampler) => {
    recorder.submit();
    const logits = new Float32Array(await readBuffer(gpu, from.logits.buffer));
    const tokens = new Uint32Array(await readBuffer(gpu, slots.tokens));
    results.forEach((result, slot) => {
      const at = slot * dimensions.vocabularyStride;
      result.logits.push(logits.slice(at, at + config.vocabularySize));
      result.tokens.push(tokens[slot]);
    });
  };
  const rows = batch((prompt) => prompt.length - 1);
  firstRows.set(rows);
  firstSampler.record(recorder, rows, 0);
  await collect(firstSampler);
  for (let step = 1; step < count; step++) {
    for (const cache of caches) cache.reserveRecent(1);
    uploadTables();
    const rows = batch((prompt) => prompt.length + step - 1);
    decodeRows.set(rows);
    decoder.record(recorder, rows, 0);
    for (const cache of caches) for (let layer = 0; layer < config.layerCount; layer++) cache.appendRecent(layer, 1);
    await collect(sampler);
  }
  for (const cache of caches) cache.release();
  return results;
}
