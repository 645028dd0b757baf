import assert from "node:assert/strict";
import { BLOCK_ROWS, blocksFor } from "../../src/cache/block.ts";
import { BlockPool } from "../../src/cache/block_pool.ts";
import type { PrefixLease } from "../../src/cache/cached_prefix.ts";
import { type PrefixDraft, PrefixIndex } from "../../src/cache/prefix_index.ts";
import { PromptScores } from "../../src/cache/prompt_scores.ts";
import { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

const LAYERS = 3;
/** Rows whose scores are kept together. */
const GROUP_ROWS = 32;

/** Tokens of whole blocks: block i is made of the i-th number. */
const tokensOf = (...blocks: number[]) => Uint32Array.from(blocks.flatMap((token) => Array(BLOCK_ROWS).fill(token)));

function setUp(arenas: readonly number[], mostBlocks = Infinity) {
  const pool = new BlockPool({ arenas, blockBytes: 1, layerCount: LAYERS });
  const index = new PrefixIndex(pool, LAYERS, mostBlocks, GROUP_ROWS);
  return { pool, index };
}

/** A sequence that has read `tokens` and is found from now on. */
function read(index: PrefixIndex, arena: number, tokens: Uint32Array, salt?: string): SequenceCache {
  const cache = new SequenceCache(index.pool, arena, LAYERS);
  for (let layer = 0; layer < LAYERS; layer++) cache.appendRecent(layer, tokens.length);
  index.add(arena, tokens, (layer) => cache.table(layer), salt);
  return cache;
}

const rowsFound = (index: PrefixIndex, tokens: Uint32Array, salt?: string) =>
  index.find(tokens, tokens.length, salt)[0].rows;

Deno.test("PrefixIndex finds whole blocks of what begins alike, and no more rows than it is asked for", () => {
  const { index } = setUp([100]);
  const cache = read(index, 0, Uint32Array.from([...tokensOf(1, 2, 3), 9, 9]));
  assert.equal(index.keptBlocks, 3 * LAYERS);
  assert.equal(rowsFound(index, tokensOf(1, 2, 3, 9)), 48);
  assert.equal(rowsFound(index, tokensOf(1, 2, 7)), 32);
  assert.equal(rowsFound(index, tokensOf(2, 3)), 0);
  assert.equal(rowsFound(index, Uint32Array.from([...tokensOf(1), 2, 2, 2])), 16);
  assert.equal(index.find(tokensOf(1, 2, 3), 47)[0].rows, 32);
  const [found] = index.find(tokensOf(1, 2), 32);
  for (let layer = 0; layer < LAYERS; layer++) {
    assert.deepEqual([...index.acquire(found).table(layer)], cache.table(layer).slice(0, 2));
  }
});

Deno.test("PrefixIndex compares tokens: a block with the same hash but other tokens is another", () => {
  const { index } = setUp([100]);
  // The hash goes from token to token: with the last two chosen so, it ends where that of all ones does.
  const step = (hash: number, token: number) => {
    const mixed = Math.imul(hash ^ token, 0x9e3779b1);
    return mixed ^ (mixed >>> 15);
  };
  const ones = Array(BLOCK_ROWS - 1).fill(1).reduce(step, 0);
  const others = [...Array(BLOCK_ROWS - 2).fill(1), 2].reduce(step, 0);
  // step(others, twin) === step(ones, 1)
  const twin = (ones ^ 1 ^ others) >>> 0;
  const twins = Uint32Array.from([...Array(BLOCK_ROWS - 2).fill(1), 2, twin]);
  assert.equal([...twins].reduce(step, 0), [...tokensOf(1)].reduce(step, 0));
  read(index, 0, tokensOf(1));
  assert.equal(rowsFound(index, twins), 0);
  read(index, 0, twins).release();
  assert.deepEqual([rowsFound(index, twins), rowsFound(index, tokensOf(1))], [0, 16]);
  assert.equal(index.keptBlocks, LAYERS);
});

Deno.test("PrefixIndex gives the arena first that has most of the tokens", () => {
  const { index } = setUp([20, 20, 20]);
  read(index, 2, tokensOf(1, 2));
  read(index, 1, tokensOf(1));
  assert.deepEqual(index.find(tokensOf(1, 2), 32).map(({ arena, rows }) => [arena, rows]), [[2, 32], [1, 16], [0, 0]]);
  assert.deepEqual(index.find(tokensOf(5), 16).map(({ arena }) => arena), [0, 1, 2]);
});

Deno.test("blocks that are only kept count as free, and are given up for whoever needs them, least recently used first", () => {
  const { pool, index } = setUp([9 * LAYERS]);
  read(index, 0, tokensOf(1, 2, 3)).release();
  read(index, 0, tokensOf(1, 2, 4)).release();
  read(index, 0, tokensOf(5)).release();
  assert.deepEqual([pool.usedBlocks, pool.freeBlocks(0), index.keptBlocks], [0, 9 * LAYERS, 5 * LAYERS]);
  index.acquire(index.find(tokensOf(1, 2, 3), 48)[0]).release();
  const ids = pool.allocate(0, 5 * LAYERS, 0);
  // [4], which is the end of a prompt that was used before [5].
  assert.deepEqual([4, 5, 3].map((last) => rowsFound(index, last === 5 ? tokensOf(5) : tokensOf(1, 2, last))), [
    32,
    16,
    48,
  ]);
  pool.allocate(0, 2 * LAYERS, 0);
  assert.deepEqual([rowsFound(index, tokensOf(5)), rowsFound(index, tokensOf(1, 2, 3))], [0, 32]);
  pool.allocate(0, 1, 0);
  assert.equal(rowsFound(index, tokensOf(1, 2)), 16, "the beginning stays longest");
  pool.release(0, ids);
});

Deno.test("blocks that somebody holds are not given up, and free blocks once they are not found any more", () => {
  const { pool, index } = setUp([4 * LAYERS]);
  const cache = read(index, 0, tokensOf(1, 2));
  const lease = index.acquire(index.find(tokensOf(1), 16)[0]);
  cache.release();
  assert.deepEqual([pool.usedBlocks, pool.holders(0, lease.table(0)[0])], [LAYERS, 1]);
  assert.throws(() => pool.allocate(0, 3 * LAYERS + 1, 0), /arena 0 has 9 free/);
  pool.allocate(0, 3 * LAYERS, 0);
  assert.equal(rowsFound(index, tokensOf(1, 2)), 16);
  index.clear();
  assert.equal(rowsFound(index, tokensOf(1)), 0);
  assert.equal(pool.freeBlocks(0), 0);
  lease.release();
  lease.release();
  assert.equal(pool.freeBlocks(0), LAYERS);
});

Deno.test("PrefixIndex keeps no more than it may, and nothing when it is off", () => {
  const { pool, index } = setUp([100], 3 * LAYERS + 1);
  read(index, 0, tokensOf(1, 2)).release();
  const held = read(index, 0, tokensOf(3, 4, 5, 6));
  assert.equal(index.keptBlocks, 3 * LAYERS);
  assert.deepEqual([rowsFound(index, tokensOf(1)), rowsFound(index, tokensOf(3, 4, 5, 6))], [0, 48]);
  assert.equal(index.draft(0, tokensOf(7)), null, "all that is kept is held");
  held.release();
  assert.equal(index.draft(0, tokensOf(7, 8, 9, 10))!.rows, 48);
  assert.equal(index.keptBlocks, 3 * LAYERS);
  assert.equal(pool.usedBlocks, 0);

  const off = setUp([100], LAYERS - 1);
  read(off.index, 0, tokensOf(1)).release();
  assert.deepEqual([off.index.isOn, off.index.keptBlocks, off.index.draft(0, tokensOf(1))], [false, 0, null]);
});

Deno.test("a draft has blocks for what an arena lacks, and is found once it has been committed", () => {
  const { pool, index } = setUp([100]);
  read(index, 0, tokensOf(1)).release();
  const draft = index.draft(0, Uint32Array.from([...tokensOf(1, 2, 3), 4]))!;
  assert.deepEqual([draft.firstRow, draft.rows, pool.usedBlocks], [16, 32, 0]);
  assert.equal(rowsFound(index, tokensOf(1, 2, 3)), 16);
  draft.commit();
  const [found] = index.find(tokensOf(1, 2, 3), 48);
  assert.deepEqual([...index.acquire(found).table(1).slice(1)], [...draft.table(1)]);
  assert.equal(index.draft(0, tokensOf(1, 2, 3)), null);
  draft.abandon();
  assert.equal(rowsFound(index, tokensOf(1, 2, 3)), 48);
});

Deno.test("a draft whose beginning has been given up, or that somebody was faster than, gives its blocks back", () => {
  const { pool, index } = setUp([100]);
  read(index, 0, tokensOf(1)).release();
  const [early, late] = [index.draft(0, tokensOf(1, 2, 3))!, index.draft(0, tokensOf(1, 2))!];
  assert.equal(index.keptBlocks, 4 * LAYERS);
  late.commit();
  early.commit();
  assert.equal(index.keptBlocks, 3 * LAYERS);
  assert.equal(rowsFound(index, tokensOf(1, 2, 3)), 48);
  const orphan = index.draft(0, tokensOf(1, 2, 3, 4))!;
  const rest = pool.allocate(0, 100 - LAYERS, 0);
  assert.deepEqual([index.keptBlocks, orphan.isAbandoned], [LAYERS, false]);
  orphan.commit();
  assert.deepEqual([index.keptBlocks, rowsFound(index, tokensOf(1, 2, 3, 4))], [0, 0]);
  pool.release(0, rest);
  assert.equal(pool.emptyBlocks(0), 100);
});

Deno.test("a draft is abandoned when its blocks are needed", () => {
  const { pool, index } = setUp([4 * LAYERS]);
  const draft = index.draft(0, tokensOf(1, 2, 3))!;
  const ids = pool.allocate(0, 2 * LAYERS, 0);
  assert.deepEqual([draft.isAbandoned, index.keptBlocks, pool.emptyBlocks(0)], [true, 0, 2 * LAYERS]);
  draft.commit();
  assert.equal(rowsFound(index, tokensOf(1)), 0);
  pool.release(0, ids);
});

Deno.test("a draft does not displace the beginning of its own prompt", () => {
  const { index } = setUp([3 * LAYERS]);
  read(index, 0, tokensOf(1, 2)).release();
  const draft = index.draft(0, tokensOf(1, 2, 3, 4, 5))!;
  assert.deepEqual([draft.firstRow, draft.rows], [32, 16]);
  draft.commit();
  assert.equal(rowsFound(index, tokensOf(1, 2, 3, 4)), 48);
});

Deno.test("what follows a block that has been given up is not kept either, though somebody holds it", () => {
  const { pool, index } = setUp([5 * LAYERS]);
  const [first, second] = [read(index, 0, tokensOf(1)), read(index, 0, tokensOf(1, 2))];
  // The second one has a block of its own for what the first one had stored before.
  assert.equal(index.keptBlocks, 2 * LAYERS);
  first.release();
  const ids = pool.allocate(0, 3 * LAYERS, 0);
  assert.deepEqual([index.keptBlocks, rowsFound(index, tokensOf(1, 2))], [0, 0]);
  second.release();
  pool.release(0, ids);
  assert.equal(pool.emptyBlocks(0), 5 * LAYERS);
});

Deno.test("a cleared PrefixIndex keeps nothing, at any depth", () => {
  const { pool, index } = setUp([10 * LAYERS]);
  read(index, 0, tokensOf(1, 2, 3)).release();
  read(index, 0, tokensOf(1, 4)).release();
  const draft = index.draft(0, tokensOf(5, 6))!;
  index.clear();
  assert.deepEqual([index.keptBlocks, pool.emptyBlocks(0), draft.isAbandoned], [0, 10 * LAYERS, true]);
});

Deno.test("a prefix is cut to where it has no more idle blocks than there may be", () => {
  const { index } = setUp([100]);
  const cache = read(index, 0, tokensOf(1, 2));
  read(index, 0, tokensOf(1, 2, 3, 4)).release();
  const [found] = index.find(tokensOf(1, 2, 3, 4), 64);
  assert.equal(found.heldBlocks, 2 * LAYERS);
  const rows = [0, LAYERS - 1, LAYERS, 2 * LAYERS].map((most) => found.withIdleBlocks(most).rows);
  assert.deepEqual(rows, [32, 32, 48, 64]);
  cache.release();
  assert.deepEqual([found.heldBlocks, found.withIdleBlocks(LAYERS).rows], [0, 16]);
});

/** A sequence of the random test. */
interface Running {
  readonly cache: SequenceCache;
  readonly tokens: number[];
}

Deno.test("what is found is what was stored, counts are right, and nothing shared is written to, whatever happens", () => {
  const random = seededRandom(7);
  for (const [arenas, mostBlocks] of [[[60], Infinity], [[30, 45], Infinity], [[90], 30]] as const) {
    const { pool, index } = setUp(arenas, mostBlocks);
    /** What each block holds: layer and all tokens up to its last row, written block by block. */
    const contents = new Map<string, string>();
    const write = (arena: number, layer: number, id: number, tokens: ArrayLike<number>, block: number) => {
      const rows = Array.from(tokens).slice(0, (block + 1) * BLOCK_ROWS);
      contents.set(`${arena}:${id}`, `${layer}:${rows.join()}`);
    };
    const running: Running[] = [];
    const leases: { lease: PrefixLease; tokens: Uint32Array }[] = [];
    const drafts: { draft: PrefixDraft; tokens: Uint32Array }[] = [];
    const prompt = () => {
      const length = randomInteger(random, 1, 6 * BLOCK_ROWS);
      // A few beginnings, so that many prompts have one in common.
      const blocks = Array.from({ length: 6 }, () => randomInteger(random, 0, 2));
      return tokensOf(...blocks).slice(0, length);
    };
    const check = (arena: number, tokens: Uint32Array, rows: number, table: (layer: number) => ArrayLike<number>) => {
      for (let layer = 0; layer < LAYERS; layer++) {
        for (let block = 0; block < Math.floor(rows / BLOCK_ROWS); block++) {
          const expected = `${layer}:${tokens.slice(0, (block + 1) * BLOCK_ROWS).join()}`;
          assert.equal(contents.get(`${arena}:${table(layer)[block]}`), expected);
        }
      }
    };
    const grow = ({ cache, tokens }: Running, more: readonly number[]) => {
      const first = tokens.length;
      tokens.push(...more);
      for (let layer = 0; layer < LAYERS; layer++) {
        cache.appendRecent(layer, more.length);
        for (let block = Math.floor(first / BLOCK_ROWS); block < blocksFor(tokens.length); block++) {
          write(cache.arena, layer, cache.table(layer)[block], tokens, block);
        }
      }
    };
    for (let step = 0; step < 3000; step++) {
      const arena = randomInteger(random, 0, arenas.length - 1);
      const pick = <T>(items: T[]): T | undefined => items.splice(randomInteger(random, 0, items.length - 1), 1)[0];
      switch (randomInteger(random, 0, 7)) {
        case 0:
        case 1: {
          const tokens = prompt();
          const [found] = index.find(tokens, tokens.length - 1);
          const cache = new SequenceCache(pool, found.arena, LAYERS);
          const idle = LAYERS * found.chunks.length - found.heldBlocks;
          const rest = LAYERS * (blocksFor(tokens.length) - found.chunks.length);
          if (!pool.canAllocate(found.arena, rest + idle)) break;
          const lease = index.acquire(found);
          check(found.arena, tokens, lease.rows, (layer) => lease.table(layer));
          cache.share(lease.rows, (layer) => lease.table(layer));
          if (random() < 0.5) leases.push({ lease, tokens });
          else lease.release();
          const sequence = { cache, tokens: [...tokens.slice(0, found.rows)] };
          grow(sequence, [...tokens.slice(found.rows)]);
          running.push(sequence);
          break;
        }
        case 2: {
          const sequence = running[randomInteger(random, 0, running.length - 1)];
          if (!sequence || !pool.canAllocate(sequence.cache.arena, LAYERS)) break;
          grow(sequence, Array(randomInteger(random, 1, 9)).fill(randomInteger(random, 0, 2)));
          break;
        }
        case 3: {
          const sequence = pick(running);
          if (!sequence) break;
          const { cache, tokens } = sequence;
          if (random() < 0.7) index.add(cache.arena, Uint32Array.from(tokens), (layer) => cache.table(layer));
          cache.release();
          break;
        }
        case 4: {
          const tokens = prompt();
          const draft = index.draft(arena, tokens);
          if (draft !== null) drafts.push({ draft, tokens });
          break;
        }
        case 5: {
          const done = pick(drafts);
          if (!done) break;
          const { draft, tokens } = done;
          for (let layer = 0; layer < LAYERS && !draft.isAbandoned; layer++) {
            draft.table(layer).forEach((id, i) =>
              write(draft.arena, layer, id, tokens, draft.firstRow / BLOCK_ROWS + i)
            );
          }
          if (random() < 0.8) draft.commit();
          else draft.abandon();
          break;
        }
        case 6: {
          const held = pick(leases);
          if (!held) break;
          check(held.lease.arena, held.tokens, held.lease.rows, (layer) => held.lease.table(layer));
          held.lease.release();
          break;
        }
        case 7: {
          const free = pool.freeBlocks(arena);
          const count = randomInteger(random, 0, free);
          const ids = pool.allocate(arena, count, 0);
          for (const id of ids) contents.set(`${arena}:${id}`, "something else");
          pool.release(arena, ids);
          break;
        }
      }
      for (const { cache, tokens } of running) {
        check(cache.arena, Uint32Array.from(tokens), tokens.length, (layer) => cache.table(layer));
      }
      const held = new Set(
        running.flatMap(({ cache }) =>
          Array.from({ length: LAYERS }, (_, layer) => cache.table(layer).map((id) => `${cache.arena}:${id}`)).flat()
        ),
      );
      for (const { lease } of leases) {
        for (let layer = 0; layer < LAYERS; layer++) {
          lease.table(layer).forEach((id) => held.add(`${lease.arena}:${id}`));
        }
      }
      assert.equal(pool.usedBlocks, held.size);
      arenas.forEach((blocks, arena) => {
        const used = [...held].filter((block) => block.startsWith(`${arena}:`)).length;
        assert.equal(pool.freeBlocks(arena), blocks - used);
      });
      assert.ok(index.keptBlocks <= mostBlocks);
    }
    for (const { cache } of running) cache.release();
    for (const { lease } of leases) lease.release();
    arenas.forEach((blocks, arena) => pool.release(arena, pool.allocate(arena, blocks, 0)));
    assert.equal(index.keptBlocks, 0);
    arenas.forEach((blocks, arena) => assert.equal(pool.emptyBlocks(arena), blocks));
  }
});

Deno.test("what is kept with a salt is found with it alone, whether it was added or drafted, and takes blocks of its own", () => {
  const { index } = setUp([100]);
  read(index, 0, tokensOf(1, 2));
  read(index, 0, tokensOf(1, 2, 3), "salt");
  const draft = index.draft(0, tokensOf(1, 4), "other")!;
  assert.deepEqual([draft.firstRow, draft.rows], [0, 32]);
  assert.equal(rowsFound(index, tokensOf(1, 4), "other"), 0);
  draft.commit();
  assert.equal(index.keptBlocks, (2 + 3 + 2) * LAYERS);
  const all = [undefined, "salt", "other", "salt ", "Salt"];
  assert.deepEqual(all.map((salt) => rowsFound(index, tokensOf(1, 2, 3), salt)), [32, 48, 16, 0, 0]);
  assert.deepEqual(all.map((salt) => rowsFound(index, tokensOf(1, 4), salt)), [16, 16, 32, 0, 0]);
  // Drafts know what is there already with the same salt.
  assert.equal(index.draft(0, tokensOf(1, 4, 5), "other")!.firstRow, 32);
});

Deno.test("a salt with which nothing is kept any more is forgotten", () => {
  const { pool, index } = setUp([10 * LAYERS, LAYERS]);
  for (let user = 0; user < 1000; user++) {
    read(index, 0, tokensOf(1, user), `salt ${user}`).release();
    assert.equal(rowsFound(index, tokensOf(1, user), `salt ${user}`), 32);
    assert.ok(index.rootCount <= 5, "each has two of ten blocks of a layer");
  }
  // Looking for something keeps nothing, neither does what was never committed.
  index.find(tokensOf(1), 16, "unknown");
  index.draft(1, tokensOf(1), "abandoned")!.abandon();
  assert.equal(index.rootCount, 5);
  read(index, 1, tokensOf(1)).release();
  pool.release(0, pool.allocate(0, 10 * LAYERS, 0));
  assert.equal(index.rootCount, 1);
  index.clear();
  assert.equal(index.rootCount, 0);
  assert.equal(index.keptBlocks, 0);
});

Deno.test("a draft may be committed when all else of its salt has been given up, or has come meanwhile", () => {
  const { pool, index } = setUp([4 * LAYERS]);
  read(index, 0, tokensOf(1), "salt").release();
  const draft = index.draft(0, tokensOf(2, 3), "salt")!;
  pool.release(0, pool.allocate(0, 2 * LAYERS, 0));
  assert.equal(index.rootCount, 0);
  draft.commit();
  assert.deepEqual([rowsFound(index, tokensOf(2, 3), "salt"), rowsFound(index, tokensOf(2, 3))], [32, 0]);
  const [one, other] = [index.draft(0, tokensOf(4), "new")!, index.draft(0, tokensOf(5), "new")!];
  one.commit();
  other.commit();
  assert.deepEqual([4, 5].map((block) => rowsFound(index, tokensOf(block), "new")), [16, 16]);
});

/** Reads `tokens` with scores for all groups, or gives them up. */
function readWithScores(
  index: PrefixIndex,
  tokens: Uint32Array,
  { isRead = true, scoredLayers = LAYERS, salt = undefined as string | undefined } = {},
): void {
  const lease = index.acquire(index.find(tokens, tokens.length, salt)[0]);
  const scores = new PromptScores(index, lease, tokens);
  for (let layer = 0; layer < scoredLayers; layer++) scores.markWritten(layer, tokens.length);
  if (isRead) read(index, 0, tokens, salt).release();
  scores.end();
  scores.end();
  lease.release();
}

const slotsFound = (index: PrefixIndex, tokens: Uint32Array, salt?: string) =>
  index.scoresOf(index.find(tokens, tokens.length, salt)[0]);

Deno.test("scores are found with the whole groups of rows that they were written for, and not by what parts within one", () => {
  const { index } = setUp([16 * LAYERS]);
  readWithScores(index, tokensOf(1, 2, 3, 4, 5));
  const slots = slotsFound(index, tokensOf(1, 2, 3, 4));
  assert.equal(new Set(slots).size, 2);
  assert.deepEqual(slotsFound(index, tokensOf(1, 2, 3, 7)), slots.slice(0, 1));
  assert.deepEqual(slotsFound(index, tokensOf(1, 2, 3)), slots.slice(0, 1));
  assert.deepEqual(slotsFound(index, tokensOf(1, 7)), []);
  readWithScores(index, tokensOf(1, 2, 3, 7));
  const others = slotsFound(index, tokensOf(1, 2, 3, 7));
  assert.deepEqual([others[0], others.length], [slots[0], 2]);
  assert.notEqual(others[1], slots[1]);
});

Deno.test("scores are found with the salt that they were kept with", () => {
  const { index } = setUp([16 * LAYERS]);
  readWithScores(index, tokensOf(1, 2), { salt: "one" });
  read(index, 0, tokensOf(1, 2)).release();
  read(index, 0, tokensOf(1, 2), "two").release();
  assert.deepEqual([undefined, "one", "two"].map((salt) => slotsFound(index, tokensOf(1, 2), salt).length), [0, 1, 0]);
  readWithScores(index, tokensOf(1, 2));
  assert.notDeepEqual(slotsFound(index, tokensOf(1, 2)), slotsFound(index, tokensOf(1, 2), "one"));
});

Deno.test("scores that were not written in every layer, or whose rows are not kept, are not found, and their slots are free", () => {
  const { index } = setUp([8 * LAYERS]);
  const all = index.scoreSlots.count(0);
  assert.equal(all, 4);
  const free = () => {
    const slots = index.scoreSlots.reserve(0, 100);
    index.scoreSlots.free(0, slots);
    return slots.length;
  };
  readWithScores(index, tokensOf(1, 2, 3, 4), { scoredLayers: LAYERS - 1 });
  readWithScores(index, tokensOf(5, 6, 7), { isRead: false });
  assert.deepEqual([slotsFound(index, tokensOf(1, 2, 3, 4)), free()], [[], all]);
  // Known is what was there before, and is not written again.
  readWithScores(index, tokensOf(1, 2));
  readWithScores(index, tokensOf(1, 2, 3, 4), { scoredLayers: 0 });
  assert.deepEqual([slotsFound(index, tokensOf(1, 2, 3, 4)).length, free()], [1, all - 1]);
  index.clear();
  assert.equal(free(), all);
});

Deno.test("where all slots are taken prompts are kept without scores, until a group of rows is given up", () => {
  const { pool, index } = setUp([8 * LAYERS]);
  for (const last of [2, 3, 4, 5, 6]) readWithScores(index, tokensOf(1, last));
  assert.deepEqual([2, 3, 4, 5, 6].map((last) => slotsFound(index, tokensOf(1, last)).length), [1, 1, 1, 1, 0]);
  pool.release(0, pool.allocate(0, 3 * LAYERS, 0));
  assert.deepEqual([2, 3].map((last) => rowsFound(index, tokensOf(1, last))), [16, 32]);
  readWithScores(index, tokensOf(1, 6));
  assert.equal(slotsFound(index, tokensOf(1, 6)).length, 1);
});

Deno.test("no slot has two owners and none is lost, whatever is read, given up and cleared", () => {
  const random = seededRandom(12);
  const { pool, index } = setUp([24 * LAYERS]);
  for (let round = 0; round < 400; round++) {
    const tokens = tokensOf(...Array.from({ length: randomInteger(random, 1, 8) }, () => randomInteger(random, 1, 2)));
    const event = random();
    if (event < 0.1) pool.release(0, pool.allocate(0, randomInteger(random, 1, 24 * LAYERS), 0));
    else if (event < 0.12) index.clear();
    else {
      readWithScores(index, tokens, {
        isRead: random() < 0.8,
        scoredLayers: random() < 0.8 ? LAYERS : randomInteger(random, 0, LAYERS - 1),
      });
    }
    const free = index.scoreSlots.reserve(0, 100);
    index.scoreSlots.free(0, free);
    const found = new Set<number>();
    const prefixes = Array.from(
      { length: 256 },
      (_, bits) => tokensOf(...Array.from({ length: 8 }, (_, i) => 1 + (bits >> i & 1))),
    );
    for (const prefix of prefixes) for (const slot of slotsFound(index, prefix)) found.add(slot);
    for (const slot of found) assert.ok(!free.includes(slot), `${slot} is free and found`);
    assert.equal(new Set(free).size, free.length);
    assert.ok(found.size + free.length <= index.scoreSlots.count(0));
  }
  index.clear();
  assert.equal(index.scoreSlots.reserve(0, 100).length, index.scoreSlots.count(0));
});

Deno.test("of two that score the same groups at the same time, the one that is done later gives its slots back", () => {
  const { index } = setUp([8 * LAYERS]);
  const tokens = tokensOf(1, 2, 3, 4);
  const scored = [0, 1].map(() => {
    const lease = index.acquire(index.find(tokens, tokens.length)[0]);
    const scores = new PromptScores(index, lease, tokens);
    for (let layer = 0; layer < LAYERS; layer++) scores.markWritten(layer, tokens.length);
    return scores;
  });
  read(index, 0, tokens).release();
  for (const scores of scored) scores.end();
  assert.deepEqual(slotsFound(index, tokens), scored[0].slots);
  assert.deepEqual(index.scoreSlots.reserve(0, 100).toSorted(), scored[1].slots.toSorted());
});
