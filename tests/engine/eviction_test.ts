import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { BLOCK_ROWS, blocksFor } from "../../src/cache/block.ts";
import { rankedBudget } from "../../src/cache/budgets.ts";
import type { SequenceCache } from "../../src/cache/sequence_cache.ts";
import { Admission } from "../../src/engine/admission.ts";
import { DecodeEviction } from "../../src/engine/eviction.ts";
import { Protection } from "../../src/engine/protection.ts";
import type { EngineStats } from "../../src/contract/engine.ts";
import {
  DECODE_PROTECTIONS,
  type DecodeProtection,
  type GenerationRequest,
  type KvCacheChoice,
} from "../../src/contract/generation.ts";
import { forecastRequest } from "../../src/engine/forecast.ts";
import { attention, attentionOfAll, keyNorm, type Score } from "../../src/policy/mod.ts";
import { needsOf, windowOf } from "../../src/policy/steps.ts";
import { findPolicy, parseKvCacheChoice, POLICY_NAMES, registry } from "../support/policies.ts";
import { type Outcome, randomPrompt, request, until } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { openReferenceModel, referenceForward, type ReferenceModel } from "../support/reference_forward.ts";
import { observedModel, runTogether, TestRun, watchingPromises } from "../support/scheduling.ts";
import { referencePool, referenceTop } from "../support/scores.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

const LAYERS = 3;
const MODEL: TinyModelOptions = {
  architecture: "llama",
  seed: 52,
  layers: LAYERS,
  keyGains: [1, 0.4, 1.6],
  context: 1024,
};
const CONTEXT = 700;
const observed = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4 });
const { model } = observed;
const { kvHeadCount, queryHeadCount, headSize } = model.config;
const GROUP = queryHeadCount / kvHeadCount;
const reference: ReferenceModel = await withFile(tinyGguf(MODEL), openReferenceModel);

/** A choice that evicts, with the defaults of its policy. */
function evicting(
  policy: string,
  budget: number,
  interval: number,
  options = {},
  protect: DecodeProtection = "none",
): KvCacheChoice {
  const decode_eviction = { interval, protect };
  return parseKvCacheChoice({ policy, budget, options, decode_eviction }, { policy: "full", budget: 1 });
}

/** Rows of every layer after each eviction. */
function evictionsOf(run: TestRun, id: number): (readonly number[])[] {
  return run.events[id].flatMap((event) => event.type === "evicted" ? [event.rowsPerLayer] : []);
}

async function runOne(single: GenerationRequest): Promise<{
  outcome: Outcome;
  evictions: (readonly number[])[];
  stats: EngineStats;
  /** Of layer 0, at the last eviction. */
  rankedBlocks: number;
}> {
  let cache: SequenceCache;
  let rankedBlocks = 0;
  const { tryAdmit } = Admission.prototype;
  Admission.prototype.tryAdmit = function (sequence) {
    const admitted = tryAdmit.call(this, sequence);
    if (admitted) cache = sequence.residence.cache;
    return admitted;
  };
  try {
    const run = new TestRun(model, (_, { type }) => {
      if (type === "evicted") rankedBlocks = cache.rankedBlocks(0);
    });
    run.add(single);
    const { outcomes: [outcome], stats } = await run.end();
    return { outcome, evictions: evictionsOf(run, 0), stats, rankedBlocks };
  } finally {
    Admission.prototype.tryAdmit = tryAdmit;
  }
}

/** Rows that a head holds, by position: ranked ones by falling score, then recent ones. */
interface HeadRows {
  ranked: number[];
  recent: number[];
}

/**
 * Layer 0 in f64. What it sees of a token hangs on the token and its position alone, so it is the same whatever has been evicted.
 */
function layerZero(tokens: readonly number[]) {
  const { queries, keys } = referenceForward(reference, tokens).layers[0];
  const part = (row: Float64Array, head: number) => row.subarray(head * headSize, (head + 1) * headSize);

  /** Sum over `positions` of the attention that their queries pay to `rows`, as far as these are no later: by KV head. */
  const attention = (rows: readonly (readonly number[])[], positions: readonly number[]): Float64Array[] =>
    rows.map((held, kvHead) => {
      const scores = new Float64Array(held.length);
      for (let head = kvHead * GROUP; head < (kvHead + 1) * GROUP; head++) {
        for (const position of positions) {
          const query = part(queries[position], head);
          const weights = held.map((row) => {
            const key = part(keys[row], kvHead);
            const dot = key.reduce((sum, element, d) => sum + element * query[d], 0);
            return row <= position ? Math.exp(dot / Math.sqrt(headSize)) : 0;
          });
          const sum = weights.reduce((a, b) => a + b, 0);
          weights.forEach((weight, i) => scores[i] += weight / sum / GROUP);
        }
      }
      return scores;
    });

  /** Finds the position of a key by its elements. */
  const positionOf = (kvHead: number, key: ArrayLike<number>): number => {
    const distances = keys.map((candidate) =>
      Math.max(...part(candidate, kvHead).map((element, d) => Math.abs(element - key[d])))
    );
    const nearest = distances.indexOf(Math.min(...distances));
    assert.ok(
      distances[nearest] < 1e-3,
      `no token has this key: the nearest, ${nearest}, is off by ${distances[nearest]}`,
    );
    return nearest;
  };
  return { attention, positionOf };
}

const meanOf = (heads: Float64Array[]) =>
  heads.map(() => heads[0].map((_, i) => heads.reduce((sum, head) => sum + head[i], 0) / heads.length));

/**
 * What layer 0 must hold at the end, by the rules of the policy and the counts that were reported: rows of the prompt that are left alone,
 * and all others.
 */
function expectedRows(
  single: GenerationRequest,
  { outcome, evictions }: Awaited<ReturnType<typeof runOne>>,
  layer: ReturnType<typeof layerZero>,
): { alone: HeadRows[]; heads: HeadRows[] } {
  const { prompt, kvCache: { policy, budget, decodeInterval, decodeProtection, options } } = single;
  const interval = decodeInterval!;
  const { score } = findPolicy(policy)!.start({
    messages: [],
    layerCount: LAYERS,
    kvHeadCount,
    headSize,
    blockSize: BLOCK_ROWS,
    promptLength: CONTEXT,
    budget: budget as number,
  }, options!)!;
  const source = score[0].name === "attention" || score[0].name === "attentionOfAll"
    ? score[0]
    : attention({ window: windowOf(score) });
  const pooling = score.find((step) => step.name === "pool");
  const isSummed = source.name === "attentionOfAll";
  const { window } = source;
  const positions = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  /** What `attentionOfAll` has summed: of each head, by position. */
  const sums = Array.from({ length: kvHeadCount }, () => new Map<number, number>());
  const boundary = decodeProtection === "boundaries" ? Math.floor(Number(budget) / 10) : 0;
  const isProtected = (row: number) =>
    row < boundary || (row >= prompt.length - boundary && row < prompt.length && boundary > 0);
  const keep = (held: number[][], queries: number[], ranked: number, pooled: boolean, divisor: number) => {
    let scores = layer.attention(held, queries);
    if (isSummed) {
      scores = scores.map((attention, head) =>
        attention.map((paid, i) => (sums[head].get(held[head][i]) ?? 0) + paid / divisor)
      );
      scores.forEach((head, kvHead) => head.forEach((sum, i) => sums[kvHead].set(held[kvHead][i], sum)));
    }
    if (score.some(({ name }) => name === "sharedByHeads")) scores = meanOf(scores);
    return held.map((rows, head): HeadRows => {
      let candidates = scores[head].subarray(0, rows.length - window);
      if (pooled && pooling !== undefined) {
        candidates = referencePool(candidates, pooling.width, pooling.by) as typeof candidates;
      }
      candidates = candidates.map((score, i) => isProtected(rows[i]) ? 1e30 : score) as typeof candidates;
      return { ranked: referenceTop(candidates, ranked).map((i) => rows[i]), recent: rows.slice(rows.length - window) };
    });
  };

  const { length } = prompt;
  const [promptRows] = outcome.kvCache!.rowsPerLayer;
  const all = Array.from({ length: kvHeadCount }, () => positions(0, length));
  const promptQueries = isSummed ? positions(0, length) : positions(length - window, length);
  let heads = promptRows === length
    ? all.map((recent): HeadRows => ({ ranked: [], recent }))
    : keep(all, promptQueries, promptRows - window, true, length);
  const nothing = (): HeadRows => ({ ranked: [], recent: [] });
  const alone = decodeProtection === "prompt" ? heads : heads.map(nothing);
  const aloneRows = decodeProtection === "prompt" ? outcome.kvCache!.rowsPerLayer : Array(LAYERS).fill(0);
  if (decodeProtection === "prompt") heads = heads.map(nothing);
  let rowsPerLayer = outcome.kvCache!.rowsPerLayer.map((rows, i) => rows - aloneRows[i]);
  let evicted = 0;
  const generated = single.maxTokens - 1;
  for (let n = 1; n <= generated; n++) {
    for (const { recent } of heads) recent.push(length + n - 1);
    rowsPerLayer = rowsPerLayer.map((rows) => rows + 1);
    const isOver = Math.max(...rowsPerLayer) > rankedBudget(budget as number, window) + window;
    if (n % interval !== 0 || n === generated || !isOver) continue;
    rowsPerLayer = evictions[evicted++].map((rows, i) => rows - aloneRows[i]);
    // Of long intervals, the last queries count for all of them.
    const queries = Math.min(interval, isSummed ? 64 : window);
    const held = heads.map(({ ranked, recent }) => [...ranked, ...recent]);
    heads = keep(
      held,
      positions(length + n - queries, length + n),
      rowsPerLayer[0] - window,
      false,
      length * queries / interval,
    );
  }
  assert.equal(evicted, evictions.length, "evictions come at the end of intervals");
  return { alone, heads };
}

/** What layer 0 of slot 0 holds: reads the arena, where the blocks of a finished sequence still are. */
async function heldRows(
  { ranked, recent, rankedBlocks = blocksFor(ranked) }: { ranked: number; recent: number; rankedBlocks?: number },
  layer: ReturnType<typeof layerZero>,
): Promise<HeadRows[]> {
  const arena = await observed.readArena(0);
  const table = observed.table(0, 0);
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const read = (slot: number) => {
      const block = table[Math.floor(slot / BLOCK_ROWS)];
      const at = ((block * kvHeadCount + head) * 2 * BLOCK_ROWS + slot % BLOCK_ROWS) * headSize;
      return layer.positionOf(head, arena.subarray(at, at + headSize));
    };
    const slots = (first: number, count: number) => Array.from({ length: count }, (_, i) => read(first + i));
    return { ranked: slots(0, ranked), recent: slots(rankedBlocks * BLOCK_ROWS, recent) };
  });
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const rising = (rows: readonly number[]) => rows.toSorted((a, b) => a - b);

for (
  const [what, length, maxTokens, kvCache] of [
    ["dynamickv", 150, 110, evicting("dynamickv", 40, 32)],
    ["dynamickv, on a prompt within the budget", 20, 130, evicting("dynamickv", 48, 40)],
    ["dynamickv, at intervals shorter than its window", 60, 24, evicting("dynamickv", 30, 5)],
    ["tova", 90, 60, evicting("tova", 33, 16)],
    ["tova, after every token", 40, 30, evicting("tova", 20, 1)],
    ["h2o", 120, 100, evicting("h2o", 24, 40)],
    ["h2o, at intervals of more rows than it asks queries of", 30, 200, evicting("h2o", 50, 90)],
    ["h2o with DynamicKV's budgets", 120, 110, evicting("h2o+dynamickv", 40, 24)],
    ["snapkv with DynamicKV's budgets", 100, 80, evicting("snapkv+dynamickv", 50, 33, { window: 20 })],
    ["dynamickv, the prompt's ends protected", 150, 110, evicting("dynamickv", 40, 32, {}, "boundaries")],
    ["snapkv, the ends of a whole prompt protected", 30, 130, evicting("snapkv", 60, 40, {}, "boundaries")],
    ["tova, ends protected that are longer than its window", 90, 60, evicting("tova", 50, 16, {}, "boundaries")],
  ] as const
) {
  Deno.test(`${what}: layer 0 holds the rows that a plain reference keeps, eviction after eviction`, async () => {
    const prompt = randomPrompt(seededRandom(length), length);
    const single = request(prompt, { maxTokens, kvCache });
    const run = await runOne(single);
    const { outcome, evictions, stats } = run;
    assert.ok(evictions.length > 1);
    assert.equal(stats.decodeEvictions, evictions.length);
    const layer = layerZero([...prompt, ...outcome.ids.slice(0, -1)]);
    const { heads: expected } = expectedRows(single, run, layer);
    const held = await heldRows({ ranked: expected[0].ranked.length, recent: expected[0].recent.length }, layer);
    for (const [head, { ranked, recent }] of held.entries()) {
      assert.deepEqual(recent, expected[head].recent, "the window and all that came since, in order");
      assert.deepEqual(rising(ranked), rising(expected[head].ranked), `head ${head}`);
      assert.equal(new Set([...ranked, ...recent]).size, ranked.length + recent.length, "no row is kept twice");
    }
    for (const rowsPerLayer of evictions) {
      const rows = rowsPerLayer.reduce((sum, count) => sum + count);
      assert.equal(rows, LAYERS * Number(kvCache.budget), "the budget is used, and no more");
    }
    const [{ ranked, recent }] = held;
    assert.equal(stats.evictedRowsPerLayer[0] + ranked.length + recent.length, length + maxTokens - 1);
    assert.equal(model.pool.usedBlocks, 0);
  });
}

for (
  const [what, length, maxTokens, kvCache] of [
    ["dynamickv", 150, 130, evicting("dynamickv", 40, 32, {}, "prompt")],
    ["dynamickv, on a prompt within the budget", 20, 150, evicting("dynamickv", 48, 40, {}, "prompt")],
    ["dynamickv, at intervals shorter than its window", 61, 60, evicting("dynamickv", 30, 5, {}, "prompt")],
    ["tova, after every token", 40, 40, evicting("tova", 20, 1, {}, "prompt")],
    ["h2o", 120, 140, evicting("h2o", 24, 40, {}, "prompt")],
    ["h2o with DynamicKV's budgets", 35, 200, evicting("h2o+dynamickv", 50, 70, {}, "prompt")],
    ["readahead, by attention alone", 130, 110, evicting("readahead", 40, 20, {}, "prompt")],
    ["adakv, whose heads keep different numbers of the prompt", 140, 110, evicting("adakv", 40, 20, {}, "prompt")],
    [
      "what ranks by the mean query, by attention",
      77,
      110,
      evicting("expectedattention+dynamickv", 40, 20, {}, "prompt"),
    ],
  ] as const
) {
  Deno.test(`${what}: layer 0 leaves the prompt alone and holds of the generated rows those that a plain reference keeps`, async () => {
    const prompt = randomPrompt(seededRandom(length), length);
    const single = request(prompt, { maxTokens, kvCache });
    const run = await runOne(single);
    const { outcome, evictions, stats } = run;
    assert.ok(evictions.length > 1);
    const layer = layerZero([...prompt, ...outcome.ids.slice(0, -1)]);
    const { alone, heads: expected } = expectedRows(single, run, layer);
    const ofPrompt = alone[0].recent.length;
    const own = expected[0].ranked.length + expected[0].recent.length;
    const held = await heldRows({ ranked: 0, recent: ofPrompt + own, rankedBlocks: run.rankedBlocks }, layer);
    for (const [head, { recent }] of held.entries()) {
      assert.deepEqual(recent.slice(0, ofPrompt), alone[head].recent, "the prompt's last rows, in order");
      const { ranked, recent: last } = expected[head];
      assert.deepEqual(rising(recent.slice(ofPrompt)), rising([...ranked, ...last]), `head ${head}`);
    }
    const kept = outcome.kvCache!.rowsPerLayer.reduce((sum, rows) => sum + rows);
    for (const rowsPerLayer of evictions) {
      const rows = rowsPerLayer.reduce((sum, count) => sum + count) - kept;
      assert.ok(Math.abs(rows - LAYERS * Number(kvCache.budget)) < 1e-9, "the budget is that of the generated rows");
    }
    assert.equal(model.pool.usedBlocks, 0);
    assert.equal(stats.decodeEvictions, evictions.length);
  });
}

for (const protect of ["none", "boundaries", "prompt"] as const) {
  Deno.test(`protecting ${protect}, every policy and combination that may evict while it generates does, within its promise`, async () => {
    const leavesPrompt = protect === "prompt";
    const can = (name: string) => findPolicy(name)![leavesPrompt ? "ranksGenerated" : "ranksAgain"];
    // The prompt left alone, most combinations can.
    const names = POLICY_NAMES.filter((name, i) => can(name) && (!leavesPrompt || !name.includes("+") || i % 4 === 0));
    assert.ok(names.length > 24);
    const random = seededRandom(3);
    await watchingPromises((held, promised) => {
      assert.ok(held <= promised, `A sequence holds ${held} blocks, but was promised ${promised}`);
    }, async () => {
      const run = new TestRun(model);
      const requests = names.map((name, i) =>
        request(randomPrompt(random, [20, 70, 200][i % 3]), {
          maxTokens: 60,
          kvCache: evicting(name, 24 + i % 7, 19, {}, protect),
        })
      );
      for (const single of requests) run.add(single);
      const { stats, outcomes } = await run.end();
      assert.deepEqual(stats.policyFallbacks, {});
      requests.forEach(({ prompt, kvCache: { policy, budget } }, i) => {
        const evictions = evictionsOf(run, i);
        // Of a long prompt, all rows are more than the budget after 19 tokens; of the generated ones, only those of two intervals are.
        const expected = leavesPrompt ? 2 : 3;
        assert.equal(evictions.length, expected, `${policy} ${prompt.length}`);
        const alone = leavesPrompt ? sum(outcomes[i].kvCache!.rowsPerLayer) : 0;
        for (const rows of evictions) assert.ok(sum(rows) - alone <= LAYERS * Number(budget) + 1e-9, policy);
        assert.equal(outcomes[i].ids.length, 60);
      });
      assert.equal(stats.blocksUsed, 0);
    });
  });
}

Deno.test("what is fed behind a prompt is evicted as if it had been generated, however short the prompt is", async () => {
  const prompt = randomPrompt(seededRandom(30), 10);
  for (const [i, policy] of ["snapkv", "dynamickv", "h2o", "tova", "keydiff", "readahead", "lava"].entries()) {
    const protect = i < 5 ? DECODE_PROTECTIONS[i % 3] : "prompt";
    const drawn = request(prompt, { maxTokens: 60, kvCache: evicting(policy, 30, 9, {}, protect) });
    const { outcome: { ids }, evictions } = await runOne(drawn);
    assert.ok(evictions.length > 2, policy);
    const continuation = { tokens: Uint32Array.from(ids.slice(0, 55)) };
    const fed = await runOne({ ...drawn, continuation, maxTokens: 5 });
    assert.deepEqual(fed.outcome.ids, ids.slice(55), policy);
    assert.deepEqual(fed.evictions, evictions, policy);
  }
});

Deno.test("a sequence that is short or does not ask is left alone, and one that evicts does not disturb it", async () => {
  const random = seededRandom(12);
  const plain = [
    request(randomPrompt(random, 80), { maxTokens: 70 }),
    request(randomPrompt(random, 90), { maxTokens: 70, kvCache: { policy: "dynamickv", budget: 30 } }),
  ];
  const before = await runTogether(model, plain);
  const evicts = request(randomPrompt(random, 100), { maxTokens: 70, kvCache: evicting("dynamickv", 30, 9) });
  const other = request(randomPrompt(random, 60), { maxTokens: 50, kvCache: evicting("h2o", 20, 13) });
  const { outcome: alone } = await runOne(evicts);
  assert.equal(alone.types.filter((type) => type === "evicted").length, 7);
  // Read in several tiles while the others evict.
  const long = request(randomPrompt(random, 600), { maxTokens: 20, kvCache: { policy: "h2o", budget: 50 } });
  const [longAlone] = await runTogether(model, [long]);
  const run: TestRun = new TestRun(model, (_, { type }) => {
    if (type === "evicted" && run.events.length === 4) run.add(long);
  });
  for (const single of [...plain, evicts, other]) run.add(single);
  await until(() => run.events.length === 5, "an eviction");
  const { outcomes } = await run.end();
  assert.deepEqual([outcomes[4].ids, outcomes[4].kvCache], [longAlone.ids, longAlone.kvCache]);
  assert.deepEqual(outcomes[0].ids, before[0].ids);
  assert.deepEqual(outcomes[1].ids, before[1].ids);
  assert.deepEqual([outcomes[0].types, outcomes[1].types].flat().filter((type) => type === "evicted"), []);
  assert.deepEqual(outcomes[2].ids, alone.ids);
  assert.deepEqual(evictionsOf(run, 2), (await runOne(evicts)).evictions);

  // The first token has no row, and nothing comes after the last: 40 tokens never fill an interval of 39.
  const short = { ...plain[1], maxTokens: 40 };
  const [expected] = await runTogether(model, [short]);
  const { outcome, evictions } = await runOne({ ...short, kvCache: { ...short.kvCache, decodeInterval: 39 } });
  assert.deepEqual([outcome.ids, evictions.length], [expected.ids, 0]);
  // Neither is anything evicted of what is within the budget.
  const small = { ...short, kvCache: { policy: "dynamickv", budget: 200 } };
  const [whole] = await runTogether(model, [small]);
  const within = await runOne({ ...small, kvCache: { ...small.kvCache, decodeInterval: 8 } });
  assert.deepEqual([within.outcome.ids, within.evictions.length], [whole.ids, 0]);
});

Deno.test("random requests that evict, short of blocks and aborted on the way, keep promises and leave nothing behind", async () => {
  const blockBytes = BLOCK_ROWS * kvHeadCount * headSize * 2 * 4;
  const serving = { contextLength: 250, maxBatch: 4, kvMemory: 150 * blockBytes };
  // Two arenas.
  const { model } = await observedModel(MODEL, serving, 100 * blockBytes);
  assert.equal(model.pool.arenaCount, 2);
  const random = seededRandom(8);
  const pick = <T>(choices: readonly T[]) => choices[randomInteger(random, 0, choices.length - 1)];
  const requests = Array.from({ length: 24 }, (_, i) => {
    const kvCache = i % 5 === 4 ? { policy: "full", budget: 1 } : evicting(
      pick(["dynamickv", "tova", "h2o", "snapkv+cake"]),
      randomInteger(random, 12, 60),
      pick([1, 7, 16, 33]),
      {},
      DECODE_PROTECTIONS[i % 3],
    );
    return request(randomPrompt(random, pick([1, 5, 16, 40, 90])), {
      maxTokens: i % 5 === 4 ? 20 : pick([30, 64, 90]),
      stopTokens: random() < 0.3 ? Array.from({ length: 8 }, () => randomInteger(random, 0, 319)) : [],
      kvCache,
    });
  });
  const alone: Outcome[] = [];
  for (const single of requests) alone.push(...await runTogether(model, [single]));
  const { bytes } = model.gpu;
  let worst = 0;
  await watchingPromises((held, promised) => {
    worst = Math.max(worst, held / promised);
    assert.ok(held <= promised, `A sequence holds ${held} blocks, but was promised ${promised}`);
  }, async () => {
    for (let round = 0; round < 2; round++) {
      const run: TestRun = new TestRun(model, (id, event) => {
        if (event.type !== (round === 0 ? "prefilled" : "evicted") || id % 4 !== 1) return;
        setTimeout(randomInteger(random, 0, 40)).then(() => run.loop.abort(id));
      });
      for (const single of requests) run.add(single);
      const { outcomes, stats } = await run.end();
      for (const [i, { ids, last }] of outcomes.entries()) {
        assert.deepEqual(ids, alone[i].ids.slice(0, ids.length), `request ${i}`);
        if (i % 4 !== 1) assert.deepEqual(last, alone[i].last, `request ${i}`);
      }
      assert.equal(stats.blocksUsed, 0);
      assert.equal(stats.running + stats.waiting, 0);
      assert.equal(model.gpu.bytes - bytes, 0, "the query logs are gone");
    }
  });
  assert.ok(worst > 0.7, `the promises are not far off: ${worst}`);
  model.gpu.destroy();
});

Deno.test("an abort in the middle of an eviction frees everything", async () => {
  const compressor = model.decodeCompressor();
  const { bytes } = model.gpu;
  const run = new TestRun(model);
  const { store } = compressor;
  let stored = 0;
  compressor.store = (...given) => {
    store.apply(compressor, given);
    // The last layer of the second eviction has been recorded, its scores have not been read back.
    if (++stored === 2 * LAYERS) queueMicrotask(() => run.loop.abort(id));
  };
  const single = request(randomPrompt(seededRandom(5), 100), {
    maxTokens: 300,
    kvCache: evicting("dynamickv", 30, 16),
  });
  const id = run.add(single);
  await until(() => run.events[id].at(-1)?.type === "finished", "the abort");
  assert.equal(model.pool.usedBlocks, 0);
  compressor.store = store;
  const { outcomes: [{ ids, last }] } = await run.end();
  assert.ok(last.type === "finished" && last.reason === "aborted" && ids.length >= 17);
  assert.equal(evictionsOf(run, id).length, 1);
  assert.equal(model.gpu.bytes, bytes);
});

Deno.test("what an evicting sequence is promised does not grow with the tokens that it may generate", () => {
  const shape = { layerCount: LAYERS, kvHeadCount, headSize };
  const blocks = (maxTokens: number, kvCache: KvCacheChoice) =>
    forecastRequest(request(randomPrompt(seededRandom(1), 300), { maxTokens, kvCache }), shape, registry).blocks;
  for (const policy of ["dynamickv", "tova", "h2o"]) {
    const protecting = evicting(policy, 64, 128, {}, "prompt");
    assert.equal(blocks(1000, protecting), blocks(1_000_000, protecting), policy);
    // The budget once more and an interval, and what may be free in the last blocks.
    assert.ok(blocks(1000, protecting) <= blocks(1, protecting) + LAYERS * (12 + 2), policy);
    const kvCache = evicting(policy, 64, 128);
    assert.equal(blocks(1000, kvCache), blocks(1_000_000, kvCache), policy);
    // Budget and interval fill 12 blocks a layer; at worst the last blocks of both parts hold one row.
    const prompt = blocks(1, { policy, budget: 64, options: kvCache.options });
    assert.ok(blocks(1000, kvCache) <= Math.max(prompt, LAYERS * 14), policy);
    const { decodeInterval: _, decodeProtection: __, ...unbounded } = kvCache;
    assert.ok(blocks(1000, unbounded) > LAYERS * 60, policy);
  }
});

Deno.test("a policy that cannot rank generated rows is refused by name, and one that cannot rank those of a prompt if it is to", () => {
  const shape = { layerCount: 2, kvHeadCount, headSize };
  const forecast = (policy: string, decodeProtection: DecodeProtection) => () =>
    forecastRequest(
      request([1, 2], { maxTokens: 500, kvCache: { policy, budget: 60, decodeInterval: 9, decodeProtection } }),
      shape,
      registry,
    );
  assert.throws(forecast("streaming", "prompt"), /"streaming" cannot evict while tokens are generated, .* "prompt"$/);
  assert.throws(forecast("readahead", "none"), /"readahead" cannot evict while tokens are generated, .* "none"$/);
  assert.throws(forecast("adakv", "boundaries"), /"adakv" cannot evict while tokens are generated, .* "boundaries"$/);
  assert.doesNotThrow(forecast("readahead", "prompt"));
});

Deno.test("a policy that needs the scores themselves is refused, and queries are no more than an interval has", () => {
  const published = evicting("dynamickv", 64, 128, { mode: "published" });
  assert.throws(
    () =>
      forecastRequest(
        request([1], { maxTokens: 500, kvCache: published }),
        { layerCount: 2, kvHeadCount, headSize },
        registry,
      ),
    /"dynamickv" cannot evict while generating with these options, .* the mode "mended"$/,
  );
  const policy = {
    exactScores: false,
    perHead: false,
    provisionalRows: () => 1,
    isRebalanceDue: () => true,
    allot: () => new Uint32Array(),
    hostSteps: [],
    hasKernel: false,
    hasFailed: false,
    found: null,
    computeOnHost: () => null,
  };
  const protection = new Protection("none", { budget: 64, promptLength: 1 });
  const queries = (score: Score, interval: number, attentionStatistics = false) => {
    const scoring = { score, window: windowOf(score), needs: needsOf(score) };
    return new DecodeEviction({ ...policy, ...scoring, attentionStatistics }, interval, protection, 1).queries;
  };
  const sums = [attentionOfAll({ window: 100 })];
  const norm = [keyNorm({ window: 8 })];
  assert.equal(queries(sums, 128), 64);
  assert.equal(queries(sums, 20), 20);
  assert.equal(queries(norm, 20), 0);
  assert.equal(queries(norm, 20, true), 8);
});
