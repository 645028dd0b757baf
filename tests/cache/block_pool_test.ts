import assert from "node:assert/strict";
import { BlockPool } from "../../src/cache/block_pool.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

Deno.test("BlockPool hands out the lowest ids first and takes them back", () => {
  const pool = new BlockPool({ arenas: [4], blockBytes: 100, layerCount: 2 });
  const first = pool.allocate(0, 3, 1);
  assert.deepEqual([...first], [0, 1, 2]);
  assert.deepEqual([pool.usedBlocks, pool.usedBytes, pool.freeBlocks(0)], [3, 300, 1]);
  assert.deepEqual([...pool.usedPerLayer], [0, 3]);
  pool.release(0, first);
  assert.deepEqual([pool.usedBlocks, pool.usedBytes, pool.freeBlocks(0)], [0, 0, 4]);
  assert.deepEqual([...pool.allocate(0, 4, 0)], [0, 1, 2, 3]);
});

Deno.test("BlockPool refuses to allocate more than an arena has, and changes nothing", () => {
  const pool = new BlockPool({ arenas: [2, 8], blockBytes: 1, layerCount: 1 });
  assert.equal(pool.canAllocate(0, 2), true);
  assert.equal(pool.canAllocate(0, 3), false);
  assert.throws(() => pool.allocate(0, 3, 0), /Cannot allocate 3 KV blocks for layer 0: arena 0 has 2 free/);
  assert.deepEqual([pool.usedBlocks, pool.freeBlocks(0), pool.freeBlocks(1)], [0, 2, 8]);
  assert.equal(pool.canAllocate(1, 8), true);
});

Deno.test("BlockPool refuses to free a block twice, or one it does not have", () => {
  const pool = new BlockPool({ arenas: [2], blockBytes: 1, layerCount: 1 });
  pool.release(0, pool.allocate(0, 1, 0));
  assert.throws(() => pool.release(0, [0]), /Cannot release KV block 0 of arena 0: it is not in use/);
  assert.throws(() => pool.release(0, [7]), /Cannot release KV block 7/);
  const [id] = pool.allocate(0, 1, 0);
  assert.throws(() => pool.release(0, [id, id]), /not in use/);
});

Deno.test("BlockPool remembers its peak until it is reset", () => {
  const pool = new BlockPool({ arenas: [10], blockBytes: 1, layerCount: 1 });
  const ids = pool.allocate(0, 7, 0);
  pool.release(0, ids.slice(2));
  assert.equal(pool.peakBlocks, 7);
  pool.resetPeak();
  assert.equal(pool.peakBlocks, 2);
  pool.allocate(0, 1, 0);
  assert.equal(pool.peakBlocks, 3);
});

Deno.test("BlockPool conserves blocks and owns none twice under random operations", () => {
  const random = seededRandom(1);
  const arenas = [13, 1, 40];
  const layerCount = 5;
  const pool = new BlockPool({ arenas, blockBytes: 8, layerCount });
  const held: { arena: number; layer: number; ids: Uint32Array }[] = [];
  let peak = 0;
  for (let step = 0; step < 5000; step++) {
    const arena = randomInteger(random, 0, arenas.length - 1);
    const count = randomInteger(random, 0, 9);
    if (random() < 0.5) {
      if (pool.canAllocate(arena, count)) {
        const layer = randomInteger(random, 0, layerCount - 1);
        held.push({ arena, layer, ids: pool.allocate(arena, count, layer) });
      } else {
        assert.throws(() => pool.allocate(arena, count, 0));
      }
    } else if (held.length > 0) {
      const [{ arena, ids }] = held.splice(randomInteger(random, 0, held.length - 1), 1);
      pool.release(arena, ids);
    }
    const owned = held.flatMap(({ arena, ids }) => Array.from(ids, (id) => `${arena}:${id}`));
    peak = Math.max(peak, owned.length);
    assert.equal(new Set(owned).size, owned.length);
    assert.equal(pool.usedBlocks, owned.length);
    assert.equal(pool.peakBlocks, peak);
    arenas.forEach((blocks, arena) => {
      const used = held.filter((block) => block.arena === arena).reduce((sum, { ids }) => sum + ids.length, 0);
      assert.equal(pool.freeBlocks(arena), blocks - used);
    });
    const perLayer = Array<number>(layerCount).fill(0);
    for (const { layer, ids } of held) perLayer[layer] += ids.length;
    assert.deepEqual([...pool.usedPerLayer], perLayer);
  }
});

Deno.test("BlockPool counts the holders of a block, which is free when the last one releases it", () => {
  const pool = new BlockPool({ arenas: [3], blockBytes: 1, layerCount: 2 });
  const ids = pool.allocate(0, 2, 1);
  pool.retain(0, [ids[0]]);
  assert.deepEqual([pool.holders(0, ids[0]), pool.usedBlocks, pool.usedPerLayer[1], pool.peakBlocks], [2, 2, 2, 2]);
  pool.release(0, ids);
  assert.deepEqual([pool.usedBlocks, pool.freeBlocks(0)], [1, 2]);
  assert.throws(() => pool.retain(0, [ids[1]]), /Cannot share KV block 1 of arena 0: it is free/);
  pool.release(0, [ids[0]]);
  assert.deepEqual([pool.usedBlocks, pool.freeBlocks(0)], [0, 3]);
});

Deno.test("BlockPool keeps contents of blocks that nobody holds until they are forgotten, or needed", () => {
  const pool = new BlockPool({ arenas: [4], blockBytes: 1, layerCount: 1 });
  const asked: number[][] = [];
  pool.giveUpIdle = (arena, count) => {
    asked.push([arena, count]);
    pool.forget(arena, [1]);
  };
  const ids = pool.allocate(0, 2, 0);
  assert.throws(() => pool.keep(0, [3]), /Cannot keep KV block 3 of arena 0: it is kept already, or not in use/);
  pool.keep(0, ids);
  assert.throws(() => pool.keep(0, [ids[0]]), /kept already/);
  pool.release(0, ids);
  assert.deepEqual([pool.usedBlocks, pool.freeBlocks(0), pool.emptyBlocks(0)], [0, 4, 2]);
  pool.retain(0, [ids[0]]);
  assert.deepEqual([pool.usedBlocks, pool.usedPerLayer[0], pool.freeBlocks(0)], [1, 1, 3]);
  assert.deepEqual([...pool.allocate(0, 3, 0)].sort(), [1, 2, 3]);
  assert.deepEqual(asked, [[0, 1]]);
  assert.throws(() => pool.forget(0, [1]), /Cannot forget KV block 1 of arena 0: it is not kept/);
  pool.forget(0, [ids[0]]);
  assert.equal(pool.usedBlocks, 4, "it is held, and only free afterwards");
  pool.release(0, [ids[0]]);
  assert.equal(pool.emptyBlocks(0), 1);
});

Deno.test("BlockPool hands out idle blocks for contents that nobody holds yet", () => {
  const pool = new BlockPool({ arenas: [3], blockBytes: 1, layerCount: 2 });
  const ids = pool.allocateIdle(0, 2, 1);
  assert.deepEqual([pool.usedBlocks, pool.peakBlocks, pool.freeBlocks(0), pool.emptyBlocks(0)], [0, 0, 3, 1]);
  assert.throws(() => pool.allocateIdle(0, 2, 1), /Cannot take 2 KV blocks: 1 are empty/);
  pool.retain(0, ids);
  assert.deepEqual([pool.usedBlocks, pool.usedPerLayer[1], pool.freeBlocks(0)], [2, 2, 1]);
});

Deno.test("BlockPool says when the contents of a block are of no use any more", () => {
  const pool = new BlockPool({ arenas: [1, 4], blockBytes: 1, layerCount: 1 });
  const freed: [number, number][] = [];
  pool.onFree = (arena, id) => freed.push([arena, id]);
  const [single, shared, kept] = pool.allocate(1, 3, 0);
  pool.retain(1, [shared]);
  pool.keep(1, [kept]);
  pool.release(1, [single, shared, kept]);
  assert.deepEqual(freed, [[1, single]]);
  pool.release(1, [shared]);
  pool.forget(1, [kept]);
  assert.deepEqual(freed.slice(1), [[1, shared], [1, kept]]);
});

Deno.test("BlockPool says which blocks must not be written to", () => {
  const pool = new BlockPool({ arenas: [3], blockBytes: 1, layerCount: 1 });
  const [own, shared, kept] = pool.allocate(0, 3, 0);
  pool.retain(0, [shared]);
  pool.keep(0, [kept]);
  pool.checkWritable(0, own);
  assert.throws(() => pool.checkWritable(0, shared), /KV block 1 of arena 0 must not be written to: 2 hold it/);
  assert.throws(
    () => pool.checkWritable(0, kept),
    /KV block 2 of arena 0 must not be written to: its contents are kept/,
  );
});
