import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { PrefixIndex } from "../../src/cache/prefix_index.ts";
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { Admission } from "../../src/engine/admission.ts";
import { forecastRequest } from "../../src/engine/forecast.ts";
import { Sequence } from "../../src/engine/sequence.ts";
import type { GenerationRequest } from "../../src/contract/generation.ts";
import { request } from "../support/engine.ts";
import { registry } from "../support/policies.ts";

const LAYERS = 2;
const SHAPE = { layerCount: LAYERS, kvHeadCount: 2, headSize: 8 };
const PROMPT = Uint32Array.from({ length: 10 * BLOCK_ROWS }, (_, i) => i);
/** 11 blocks a layer for the prompt and what can follow it. */
const WHOLE = request(PROMPT, { maxTokens: 1 });
const COMPRESSED = request(PROMPT, {
  maxTokens: 1,
  kvCache: { policy: "snapkv", budget: 32, options: { window: 16 } },
});

function setUp(arenas: readonly number[]) {
  const pool = new BlockPool({ arenas, blockBytes: 1, layerCount: LAYERS });
  const index = new PrefixIndex(pool, LAYERS, Infinity, 512);
  return { pool, index, admission: new Admission(index, LAYERS, 4) };
}

const sequenceOf = (single: GenerationRequest) =>
  new Sequence(0, single, forecastRequest(single, SHAPE, registry), { reason: undefined });

/** Leaves the first rows of the prompt in an arena, held by the cache that is returned. */
function keep(index: PrefixIndex, arena: number, blocks: number): SequenceCache {
  const cache = new SequenceCache(index.pool, arena, LAYERS);
  for (let layer = 0; layer < LAYERS; layer++) cache.appendRecent(layer, blocks * BLOCK_ROWS);
  index.add(arena, PROMPT.slice(0, blocks * BLOCK_ROWS), (layer) => cache.table(layer));
  return cache;
}

Deno.test("blocks that a sequence shares with a running one are promised to it, but not twice", () => {
  const { pool, index, admission } = setUp([33]);
  keep(index, 0, 9);
  const sequence = sequenceOf(WHOLE);
  const { blocks } = sequence.forecast;
  assert.ok(blocks > pool.freeBlocks(0));
  assert.ok(admission.tryAdmit(sequence));
  const { cache, prefix } = sequence.residence;
  assert.deepEqual([cache.blocks, prefix!.rows, pool.usedBlocks], [18, 144, 18]);
  assert.ok(pool.canAllocate(0, blocks - cache.blocks));
  admission.release(sequence);
  assert.equal(pool.usedBlocks, 18);
});

Deno.test("blocks that a sequence finds idle are taken out of the free ones", () => {
  const { blocks } = sequenceOf(WHOLE).forecast;
  for (const spare of [-1, 0]) {
    const { pool, index, admission } = setUp([blocks + spare]);
    keep(index, 0, 9).release();
    const sequence = sequenceOf(WHOLE);
    assert.equal(admission.tryAdmit(sequence), spare === 0);
    if (spare < 0) continue;
    assert.equal(pool.freeBlocks(0), blocks - 18);
    // Nobody else is let in: all is promised.
    assert.ok(!admission.tryAdmit(sequenceOf(request([1], { maxTokens: 1 }))));
  }
});

Deno.test("a sequence that is compressed holds what it reads for a while, but no more than nobody was promised", () => {
  const { blocks } = sequenceOf(COMPRESSED).forecast;
  for (const spare of [-1, 0, 1, LAYERS, 5 * LAYERS + 1]) {
    // There is so much room for its own blocks, and not for all that it finds.
    const { pool, index, admission } = setUp([blocks + spare]);
    const found = Math.min(9, Math.floor((blocks + spare) / LAYERS));
    keep(index, 0, found).release();
    const sequence = sequenceOf(COMPRESSED);
    assert.equal(admission.tryAdmit(sequence), spare >= 0, `${spare} spare blocks`);
    if (spare < 0) continue;
    const { cache, prefix } = sequence.residence;
    assert.equal(cache.blocks, 0);
    assert.equal(prefix!.rows, BLOCK_ROWS * Math.min(found, Math.floor(spare / LAYERS)), `${spare} spare blocks`);
    // The promise holds.
    assert.ok(pool.canAllocate(0, blocks));
    admission.release(sequence);
    assert.equal(pool.usedBlocks, 0);
  }
});

Deno.test("a sequence is let into the arena that knows most of its prompt, or another where that one is full", () => {
  const { pool, index, admission } = setUp([44, 44, 44]);
  keep(index, 1, 3).release();
  keep(index, 2, 7).release();
  const arenas = Array.from({ length: 3 }, () => {
    const sequence = sequenceOf(WHOLE);
    assert.ok(admission.tryAdmit(sequence));
    return [sequence.residence.cache.arena, sequence.residence.prefix!.rows / BLOCK_ROWS];
  });
  const { blocks } = sequenceOf(WHOLE).forecast;
  assert.ok(44 >= 2 * blocks - 14 && 44 < 3 * blocks - 28);
  assert.deepEqual(arenas, [[2, 7], [2, 7], [1, 3]]);
  assert.equal(pool.usedBlocks, 14 + 6);
});

Deno.test("the last row passes the model, and so do the rows whose queries a policy asks", () => {
  const { index, admission } = setUp([200]);
  keep(index, 0, 10).release();
  const rowsOf = (kvCache: GenerationRequest["kvCache"]) => {
    const sequence = sequenceOf(request(PROMPT, { kvCache }));
    assert.ok(admission.tryAdmit(sequence));
    const { rows } = sequence.residence.prefix!;
    admission.release(sequence);
    return rows;
  };
  assert.equal(rowsOf({ policy: "full", budget: 1 }), 9 * BLOCK_ROWS);
  assert.equal(rowsOf({ policy: "snapkv", budget: 64, options: { window: 16 } }), 9 * BLOCK_ROWS);
  assert.equal(rowsOf({ policy: "snapkv", budget: 64, options: { window: 17 } }), 8 * BLOCK_ROWS);
  // A window without queries is kept, not asked.
  assert.equal(rowsOf({ policy: "streaming", budget: 80 }), 9 * BLOCK_ROWS);
  assert.equal(rowsOf({ policy: "h2o", budget: 64 }), 0);
});
