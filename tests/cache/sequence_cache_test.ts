import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

const poolOf = (blocks: number, layerCount: number) => new BlockPool({ arenas: [blocks], blockBytes: 64, layerCount });

function changesOf(cache: SequenceCache): [number, number, number[]][] {
  const changes: [number, number, number[]][] = [];
  cache.takeChanges((layer, first, table) => changes.push([layer, first, [...table]]));
  return changes;
}

Deno.test("SequenceCache starts recent rows in a block of their own", () => {
  const cache = new SequenceCache(poolOf(10, 1), 0, 1);
  cache.setRanked(0, 17);
  cache.appendRecent(0, 8);
  assert.deepEqual(cache.table(0), [0, 1, 2]);
  assert.deepEqual([cache.rankedRows[0], cache.recentRows[0], cache.blocks, cache.bytes], [17, 8, 3, 192]);
  cache.appendRecent(0, 8);
  assert.equal(cache.blocks, 3);
  cache.appendRecent(0, 1);
  assert.equal(cache.blocks, 4);
});

Deno.test("SequenceCache releases the tail of the ranked blocks and moves recent ids left", () => {
  const pool = poolOf(10, 1);
  const cache = new SequenceCache(pool, 0, 1);
  cache.setRanked(0, 64);
  cache.appendRecent(0, 20);
  assert.deepEqual(cache.table(0), [0, 1, 2, 3, 4, 5]);
  assert.equal(cache.truncateRanked(0, 20), true);
  assert.deepEqual(cache.table(0), [0, 1, 4, 5]);
  assert.equal(pool.usedBlocks, 4);
  assert.equal(cache.truncateRanked(0, 17), false, "17 rows need the same two blocks");
  assert.equal(cache.truncateRanked(0, 0), true);
  assert.deepEqual(cache.table(0), [4, 5]);
  assert.equal(cache.recentRows[0], 20);
});

Deno.test("SequenceCache refuses to grow a layer's ranked rows or to set them twice", () => {
  const cache = new SequenceCache(poolOf(10, 2), 0, 2);
  cache.setRanked(1, 16);
  assert.throws(() => cache.truncateRanked(1, 17), /Cannot cut layer 1 to 17 ranked rows: it holds 16/);
  assert.throws(() => cache.setRanked(1, 16), /Layer 1 has its ranked rows already/);
});

Deno.test("SequenceCache reserves room in every layer before rows arrive", () => {
  const pool = poolOf(10, 2);
  const cache = new SequenceCache(pool, 0, 2);
  cache.appendRecent(0, 16);
  cache.appendRecent(1, 10);
  assert.equal(cache.blocksToReserve(6), 1);
  assert.equal(cache.blocksToReserve(7), 2);
  cache.reserveRecent(7);
  assert.equal(pool.usedBlocks, 4);
  assert.deepEqual([...cache.recentRows], [16, 10]);
  assert.equal(cache.blocksToReserve(7), 0);
  cache.appendRecent(0, 7);
  cache.appendRecent(1, 7);
  assert.equal(pool.usedBlocks, 4);
});

Deno.test("SequenceCache reports each changed table once, from its first changed entry", () => {
  const cache = new SequenceCache(poolOf(20, 3), 0, 3);
  cache.setRanked(1, 48);
  cache.appendRecent(1, 1);
  assert.deepEqual(changesOf(cache), [[1, 0, [0, 1, 2, 3]]]);
  assert.deepEqual(changesOf(cache), []);
  cache.appendRecent(1, 15);
  assert.deepEqual(changesOf(cache), [], "the rows fit in the block that was there");
  cache.appendRecent(1, 1);
  cache.truncateRanked(1, 33);
  assert.deepEqual(changesOf(cache), [[1, 4, [0, 1, 2, 3, 4]]]);
  cache.truncateRanked(1, 32);
  assert.deepEqual(changesOf(cache), [[1, 2, [0, 1, 3, 4]]]);
});

Deno.test("SequenceCache leaves the pool as it was when it is released, twice included", () => {
  const pool = poolOf(20, 2);
  const cache = new SequenceCache(pool, 0, 2);
  cache.setRanked(0, 40);
  cache.appendRecent(1, 40);
  cache.release();
  cache.release();
  assert.equal(pool.usedBlocks, 0);
  assert.deepEqual([...pool.usedPerLayer], [0, 0]);
  assert.equal(cache.blocks, 0);
});

Deno.test("SequenceCache is left as it was by an allocation that fails", () => {
  const cache = new SequenceCache(poolOf(2, 1), 0, 1);
  cache.appendRecent(0, 16);
  assert.throws(() => cache.setRanked(0, 32), /Cannot allocate 2 KV blocks/);
  assert.throws(() => cache.appendRecent(0, 17), /Cannot allocate 2 KV blocks/);
  assert.deepEqual([cache.rankedRows[0], cache.recentRows[0], [...cache.table(0)]], [0, 16, [0]]);
});

Deno.test("SequenceCaches in one pool keep lengths, tables and ownership right under random operations", () => {
  const random = seededRandom(2);
  const layerCount = 4;
  const pool = poolOf(300, layerCount);
  let live: SequenceCache[] = [];
  for (let step = 0; step < 4000; step++) {
    if (live.length < 6 && random() < 0.2) live.push(new SequenceCache(pool, 0, layerCount));
    const cache = live[randomInteger(random, 0, live.length - 1)];
    if (!cache) continue;
    const layer = randomInteger(random, 0, layerCount - 1);
    const rows = randomInteger(random, 0, 60);
    const before = [...cache.table(layer)];
    const [ranked, recent] = [cache.rankedRows[layer], cache.recentRows[layer]];
    const rankedBlocks = Math.ceil(ranked / 16);
    const choice = random();
    if (choice < 0.05) {
      cache.release();
      live = live.filter((other) => other !== cache);
    } else if (choice < 0.3 && ranked === 0 && pool.canAllocate(0, 4)) {
      cache.setRanked(layer, rows);
      assert.deepEqual(cache.table(layer).slice(Math.ceil(rows / 16)), before);
    } else if (choice < 0.6) {
      const kept = Math.min(rows, ranked);
      assert.equal(cache.truncateRanked(layer, kept), Math.ceil(kept / 16) !== rankedBlocks);
      assert.deepEqual(cache.table(layer), [
        ...before.slice(0, Math.ceil(kept / 16)),
        ...before.slice(rankedBlocks),
      ]);
    } else if (choice < 0.8 && pool.canAllocate(0, 4)) {
      cache.appendRecent(layer, rows);
      assert.equal(cache.recentRows[layer], recent + rows);
      assert.deepEqual(cache.table(layer).slice(0, before.length), before);
    } else {
      const need = cache.blocksToReserve(rows);
      if (pool.canAllocate(0, need)) {
        const used = pool.usedBlocks;
        cache.reserveRecent(rows);
        assert.equal(pool.usedBlocks, used + need);
        assert.equal(cache.blocksToReserve(rows), 0);
      }
    }

    const owned = live.flatMap((cache) =>
      Array.from({ length: layerCount }, (_, layer) => [...cache.table(layer)]).flat()
    );
    assert.equal(new Set(owned).size, owned.length);
    assert.equal(pool.usedBlocks, owned.length);
    for (const cache of live) {
      for (let layer = 0; layer < layerCount; layer++) {
        const least = Math.ceil(cache.rankedRows[layer] / 16) + Math.ceil(cache.recentRows[layer] / 16);
        assert.ok(cache.table(layer).length >= least);
      }
    }
  }
  for (const cache of live) cache.release();
  assert.equal(pool.usedBlocks, 0);
  assert.equal(pool.freeBlocks(0), 300);
});

Deno.test("Tables rebuilt from the reported changes alone equal the real ones", () => {
  const random = seededRandom(3);
  const layerCount = 3;
  const cache = new SequenceCache(poolOf(500, layerCount), 0, layerCount);
  const copies: number[][] = Array.from({ length: layerCount }, () => []);
  for (let layer = 0; layer < layerCount; layer++) cache.setRanked(layer, 400);
  for (let step = 0; step < 300; step++) {
    const layer = randomInteger(random, 0, layerCount - 1);
    if (random() < 0.3) cache.truncateRanked(layer, randomInteger(random, 0, cache.rankedRows[layer]));
    else cache.appendRecent(layer, randomInteger(random, 0, 9));
    if (random() < 0.5) continue;
    cache.takeChanges((layer, first, table) => {
      for (let i = first; i < table.length; i++) copies[layer][i] = table[i];
    });
    // Entries behind the end of a table are never read.
    copies.forEach((copy, layer) => assert.deepEqual(copy.slice(0, cache.table(layer).length), cache.table(layer)));
  }
});

Deno.test("SequenceCache forgets the last recent rows and keeps their blocks for the next", () => {
  const cache = new SequenceCache(poolOf(20, 2), 0, 2);
  cache.setRanked(1, 16);
  for (const layer of [0, 1]) cache.appendRecent(layer, 40);
  const tables = [[...cache.table(0)], [...cache.table(1)]];
  cache.dropRecent(30);
  assert.deepEqual([...cache.recentRows], [10, 10]);
  assert.deepEqual([...cache.rankedRows], [0, 16]);
  for (const layer of [0, 1]) cache.appendRecent(layer, 38);
  assert.deepEqual([cache.table(0), cache.table(1)], tables, "48 rows need the three blocks that were there");
  assert.throws(() => cache.dropRecent(49), /Cannot drop 49 recent rows: layers hold 48, 48/);
});

Deno.test("SequenceCache packs the slots of heads that keep different numbers of rows into the fewest blocks", () => {
  const pool = poolOf(20, 1);
  const cache = new SequenceCache(pool, 0, 1);
  cache.setRanked(0, 64);
  cache.appendRecent(0, 5);
  assert.deepEqual(cache.table(0), [0, 1, 2, 3, 4]);
  // Slots: head 0 has 4, head 1 has 1, head 2 has none.
  const moves = cache.truncateHeads(0, [50, 16, 0]);
  assert.deepEqual(cache.table(0), [5, 6, 4]);
  assert.deepEqual([...moves], [0, 15, 3, 16, 6, 17, 9, 18, 1, 19]);
  assert.equal(pool.usedBlocks, 3);
  assert.deepEqual([cache.rankedRows[0], cache.packedBlocks[0], cache.rankedBlocks(0)], [50, 2, 2]);
  // Four slots left still need two blocks: nothing moves.
  assert.deepEqual([...cache.truncateHeads(0, [40, 10, 0])], []);
  assert.deepEqual(cache.packedHeads(0), { rows: Uint32Array.of(40, 10, 0), firstSlots: Uint32Array.of(0, 4, 5) });
  // Three slots fit into one.
  assert.deepEqual([...cache.truncateHeads(0, [32, 1, 0])], [15, 0, 16, 1, 19, 2]);
  assert.deepEqual(cache.table(0), [0, 4]);
  cache.appendRecent(0, 12);
  assert.equal(cache.table(0).length, 3);
  cache.release();
  assert.deepEqual([pool.usedBlocks, cache.packedBlocks[0], cache.packedHeads(0)], [0, 0, null]);
});

Deno.test("SequenceCache cuts heads that keep equally many rows without packing", () => {
  const cache = new SequenceCache(poolOf(20, 1), 0, 1);
  cache.setRanked(0, 64);
  assert.deepEqual([...cache.truncateHeads(0, [20, 20])], []);
  assert.deepEqual([cache.table(0), cache.rankedRows[0], cache.packedHeads(0)], [[0, 1], 20, null]);
});

Deno.test("SequenceCache refuses to let a head grow, or to cut the layer where heads differ", () => {
  const cache = new SequenceCache(poolOf(20, 1), 0, 1);
  cache.setRanked(0, 20);
  assert.throws(() => cache.truncateHeads(0, [20, 21]), /Cannot cut head 1 of layer 0 to 21 ranked rows: it holds 20/);
  cache.truncateHeads(0, [20, 3]);
  assert.throws(() => cache.truncateHeads(0, [4, 4]), /Cannot cut head 1 of layer 0 to 4 ranked rows: it holds 3/);
  assert.throws(() => cache.truncateRanked(0, 2), /heads of layer 0 hold different numbers/);
  assert.throws(() => cache.rearrange(0, 2, 1), /heads of layer 0 hold different numbers/);
});

Deno.test("Heads keep their rows through random cuts, appends and releases, and no block is lost or owned twice", () => {
  const random = seededRandom(4);
  const [layerCount, headCount, blocks] = [3, 3, 400];
  const pool = poolOf(blocks, layerCount);
  // What every slot of the arena holds: which slot of which head of which layer of which cache.
  const arena: string[] = Array(blocks * headCount).fill("");
  const uploaded = new Map<string, { first: number; rows: number }[]>();
  let live: { id: number; cache: SequenceCache; heads: number[][] }[] = [];
  let next = 0;
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);

  for (let step = 0; step < 3000; step++) {
    if (live.length < 5 && random() < 0.2) {
      live.push({ id: next++, cache: new SequenceCache(pool, 0, layerCount), heads: range(layerCount).map(() => []) });
    }
    const chosen = live[randomInteger(random, 0, live.length - 1)];
    if (!chosen) continue;
    const { id, cache, heads } = chosen;
    const layer = randomInteger(random, 0, layerCount - 1);
    const choice = random();
    if (choice < 0.04) {
      cache.release();
      live = live.filter((other) => other !== chosen);
    } else if (choice < 0.3 && heads[layer].length === 0 && pool.canAllocate(0, 8)) {
      const rows = randomInteger(random, 0, 120);
      cache.setRanked(layer, rows);
      heads[layer] = Array(headCount).fill(rows);
      for (let i = 0; i < Math.ceil(rows / 16); i++) {
        range(headCount).forEach((head) =>
          arena[cache.table(layer)[i] * headCount + head] = `${id} ${layer} ${head} ${i}`
        );
      }
    } else if (choice < 0.7 && heads[layer].length > 0 && pool.canAllocate(0, 8)) {
      const even = random() < 0.2 ? random() : null;
      const kept = heads[layer].map((rows) =>
        even === null
          ? randomInteger(random, random() < 0.5 ? 0 : rows >> 1, rows)
          : Math.floor(even * Math.min(...heads[layer]))
      );
      const moves = cache.truncateHeads(layer, kept);
      const sources = new Set(moves.filter((_, i) => i % 2 === 0));
      const targets = moves.filter((_, i) => i % 2 === 1);
      assert.equal(new Set(targets).size, targets.length);
      assert.ok(targets.every((target) => !sources.has(target)), "no slot is source and target");
      for (let i = 0; i < moves.length; i += 2) arena[moves[i + 1]] = arena[moves[i]];
      heads[layer] = kept;
      assert.equal(cache.rankedRows[layer], Math.max(...kept));
      const slots = kept.reduce((sum, rows) => sum + Math.ceil(rows / 16), 0);
      const needed = cache.packedHeads(layer) ? Math.ceil(slots / headCount) : Math.ceil(kept[0] / 16);
      assert.equal(cache.rankedBlocks(layer), needed);
    } else if (pool.canAllocate(0, 8)) {
      cache.appendRecent(layer, randomInteger(random, 0, 60));
    }

    for (const { id, cache, heads } of live) {
      cache.takeChanges((layer, _first, _table, packed) => {
        if (packed) {
          uploaded.set(
            `${id} ${layer}`,
            range(headCount).map((h) => ({ first: packed.firstSlots[h], rows: packed.rows[h] })),
          );
        }
      });
      for (let layer = 0; layer < layerCount; layer++) {
        const table = cache.table(layer);
        assert.ok(table.length >= cache.rankedBlocks(layer) + Math.ceil(cache.recentRows[layer] / 16));
        heads[layer].forEach((rows, head) => {
          const packed = cache.packedHeads(layer) && uploaded.get(`${id} ${layer}`)![head];
          if (packed) assert.equal(packed.rows, rows);
          for (let i = 0; i < Math.ceil(rows / 16); i++) {
            const slot = packed ? packed.first + i : i * headCount + head;
            const at = table[Math.floor(slot / headCount)] * headCount + slot % headCount;
            assert.equal(arena[at], `${id} ${layer} ${head} ${i}`);
          }
        });
      }
    }
    const owned = live.flatMap(({ cache }) => range(layerCount).flatMap((layer) => [...cache.table(layer)]));
    assert.equal(new Set(owned).size, owned.length);
    assert.equal(pool.usedBlocks, owned.length);
  }
  for (const { cache } of live) cache.release();
  assert.equal(pool.usedBlocks, 0);
  assert.equal(pool.freeBlocks(0), blocks);
});

Deno.test("SequenceCache lays a layer out anew in the blocks that it has, in their order", () => {
  const pool = poolOf(12, 2);
  const cache = new SequenceCache(pool, 0, 2);
  cache.setRanked(1, 20);
  cache.appendRecent(1, 40);
  changesOf(cache);
  cache.rearrange(1, 30, 8);
  assert.deepEqual(cache.table(1), [0, 1, 2]);
  assert.deepEqual([cache.rankedRows[1], cache.recentRows[1], pool.usedBlocks], [30, 8, 3]);
  assert.deepEqual(changesOf(cache), [], "nobody has to be told");
  cache.rearrange(1, 33, 1);
  assert.equal(cache.blocks, 4, "33 ranked rows and a recent one need a block more");
  assert.deepEqual(cache.table(1).slice(0, 3), [0, 1, 2]);
  assert.deepEqual(changesOf(cache).map(([layer, first]) => [layer, first]), [[1, 3]]);
  cache.appendRecent(1, 15);
  assert.equal(cache.blocks, 4);
  cache.truncateRanked(1, 1);
  assert.equal(cache.blocks, 2);
  cache.release();
  assert.equal(pool.usedBlocks, 0);
});

Deno.test("SequenceCache starts with blocks of others, appends behind them, and gives back only its own hold on them", () => {
  const pool = new BlockPool({ arenas: [20], blockBytes: 1, layerCount: 2 });
  const [first, second] = [new SequenceCache(pool, 0, 2), new SequenceCache(pool, 0, 2)];
  for (const layer of [0, 1]) first.appendRecent(layer, 40);
  second.share(32, (layer) => first.table(layer).slice(0, 2));
  assert.deepEqual([...second.recentRows], [32, 32]);
  assert.equal(pool.usedBlocks, 6);
  for (const layer of [0, 1]) second.appendRecent(layer, 5);
  assert.deepEqual(second.table(1).slice(0, 2), first.table(1).slice(0, 2));
  assert.notEqual(second.table(1)[2], first.table(1)[2]);
  const changed: [number, number, number][] = [];
  second.takeChanges((layer, first, table) => changed.push([layer, first, table.length]));
  assert.deepEqual(changed, [[0, 0, 3], [1, 0, 3]]);
  assert.throws(() => second.share(16, () => [0]), /Layer 0 has rows already: it cannot start with others'/);
  first.release();
  assert.equal(pool.usedBlocks, 6);
  second.release();
  assert.equal(pool.usedBlocks, 0);
});

Deno.test("SequenceCache writes to no block that is shared or kept", () => {
  const pool = new BlockPool({ arenas: [20], blockBytes: 1, layerCount: 1 });
  const [first, second] = [new SequenceCache(pool, 0, 1), new SequenceCache(pool, 0, 1)];
  first.appendRecent(0, 40);
  second.share(32, () => first.table(0).slice(0, 2));
  second.dropRecent(3);
  assert.throws(() => second.appendRecent(0, 1), /KV block 1 of arena 0 must not be written to: 2 hold it/);
  assert.throws(() => second.rearrange(0, 8, 8), /must not be written to/);
  pool.keep(0, first.table(0).slice(2));
  assert.throws(() => first.appendRecent(0, 1), /KV block 2 of arena 0 must not be written to: its contents are kept/);
});
