import assert from "node:assert/strict";
import { BLOCK_ROWS, blocksFor } from "../../src/cache/block.ts";
import type { GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import type { PolicyContext } from "../../src/policy/context.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { policies } from "../support/policies.ts";
import adakv from "../../src/plugins/adakv.ts";
import { attention, pool } from "../../src/policy/mod.ts";
import dynamickv from "../../src/plugins/dynamickv.ts";
import { startPolicy } from "../../src/policy/fence.ts";
import { type Outcome, randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { prefill } from "../support/prefill.ts";
import { publishedRows } from "../support/published_dynamickv.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { openReferenceModel, referenceForward, type ReferenceModel } from "../support/reference_forward.ts";
import { observedModel, runTogether, TestRun } from "../support/scheduling.ts";
import { referencePool, referenceWindowScores } from "../support/scores.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

const LAYERS = 7;
const MODEL: TinyModelOptions = {
  architecture: "llama",
  seed: 21,
  layers: LAYERS,
  keyGains: [1, 0.3, 1.5, 0.1, 1, 1.7, 0.5],
};
const observed = await observedModel(MODEL, { contextLength: 700 });
const { model } = observed;
const reference: ReferenceModel = await withFile(tinyGguf(MODEL), openReferenceModel);

interface Options {
  readonly window: number;
  readonly kernel: number;
  readonly pooling: "average" | "maximum";
}
const DEFAULT_OPTIONS: Options = { window: 8, kernel: 7, pooling: "average" };
const DEFAULT_SCORE = [attention({ window: 8 }), pool({ width: 7, by: "average" })];

/** Every layer's keys, values and pooled scores `[layer][kvHead][row]` of a prompt, in f64. */
function referencePrompt(prompt: readonly number[], { window, kernel, pooling }: Options) {
  const { kvHeadCount, queryHeadCount, headSize } = model.config;
  const { layers } = referenceForward(reference, prompt);
  const dims = { kvHeadCount, queryHeadCount, headSize, capacity: prompt.length, maxWindow: window };
  const whole = { segmentIndex: 0, start: 0, length: prompt.length, window };
  return layers.map(({ queries, keys, values }) => {
    const byHead = (rows: readonly Float64Array[], head: number) =>
      rows.map((row) => row.subarray(head * headSize, (head + 1) * headSize));
    const heads = Array.from({ length: kvHeadCount }, (_, head) => head);
    const flatKeys = heads.flatMap((head) => byHead(keys, head).flatMap((row) => [...row]));
    const scores = referenceWindowScores(dims, whole, flatKeys, queries.slice(-window).flatMap((row) => [...row]));
    return {
      keys: heads.map((head) => byHead(keys, head)),
      values: heads.map((head) => byHead(values, head)),
      scores: scores.map((head) => referencePool(head, kernel, pooling)),
    };
  });
}

/** The same scores as the policy is given them: of each layer, head after head. */
function flatScores(layers: ReturnType<typeof referencePrompt>): Float32Array[] {
  return layers.map(({ scores }) => Float32Array.from(scores.flatMap((head) => [...head])));
}

function contextOf(prompt: readonly number[], budget: number): PolicyContext {
  const { layerCount, kvHeadCount, headSize } = model.config;
  return {
    layerCount,
    kvHeadCount,
    headSize,
    blockSize: BLOCK_ROWS,
    promptLength: prompt.length,
    budget,
    messages: [],
  };
}

/** The largest difference of two rows' elements. */
function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));
}

// Keys and values are of size 1 or so; seven layers of f32 arithmetic come before the last of them.
const ROW_TOLERANCE = 2e-3;
// A score is a sum of probabilities, each off by the error of its logit.
const SCORE_TOLERANCE = 1e-2;

/** Checks the rows that a sequence keeps of its prompt: the best ones of every head in falling order, then the window. */
async function checkKeptRows(prompt: readonly number[], slot: number, { kvCache }: Outcome, options: Options) {
  const { kvHeadCount, headSize } = model.config;
  const arena = await observed.readArena(0);
  const expected = referencePrompt(prompt, options);
  for (let layer = 0; layer < LAYERS; layer++) {
    const table = observed.table(slot, layer);
    const packed = observed.heads(slot, layer);
    // Behind the window is the only row that has been generated.
    const rankedBlocks = table.length - blocksFor(options.window + 1);
    const row = (slot: number, rowInSlot: number, plane: number) => {
      const block = table[Math.floor(slot / kvHeadCount)];
      const at = (((block * kvHeadCount + slot % kvHeadCount) * 2 + plane) * BLOCK_ROWS + rowInSlot) * headSize;
      return arena.subarray(at, at + headSize);
    };
    for (let head = 0; head < kvHeadCount; head++) {
      const { keys, values, scores } = {
        keys: expected[layer].keys[head],
        values: expected[layer].values[head],
        scores: expected[layer].scores[head],
      };
      const { rowsPerLayer, rowsPerHead } = kvCache!;
      const ranked = (rowsPerHead ? rowsPerHead[layer][head] : rowsPerLayer[layer]) - options.window;
      if (packed) assert.equal(packed.rows[head], ranked);
      const slotOf = (rank: number) => {
        const index = Math.floor(rank / BLOCK_ROWS);
        return packed ? packed.firstSlots[head] + index : index * kvHeadCount + head;
      };
      const falling = [...scores].sort((a, b) => b - a);
      const taken = new Set<number>();
      for (let rank = 0; rank < ranked; rank++) {
        const key = row(slotOf(rank), rank % BLOCK_ROWS, 0);
        const value = row(slotOf(rank), rank % BLOCK_ROWS, 1);
        const distances = keys.map((candidate) => difference(key, candidate));
        const position = distances.indexOf(Math.min(...distances));
        const where = `layer ${layer}, head ${head}, rank ${rank}, position ${position}`;
        assert.ok(distances[position] < ROW_TOLERANCE, `${where}: key is off by ${distances[position]}`);
        assert.ok(difference(value, values[position]) < ROW_TOLERANCE, `${where}: value is of another row`);
        assert.ok(position < scores.length && !taken.has(position), `${where}: kept twice, or of the window`);
        taken.add(position);
        const error = Math.abs(scores[position] / falling[rank] - 1);
        assert.ok(error < SCORE_TOLERANCE, `${where}: score ${scores[position]}, expected ${falling[rank]}`);
      }
      for (let i = 0; i < options.window; i++) {
        const slot = (rankedBlocks + Math.floor(i / BLOCK_ROWS)) * kvHeadCount + head;
        const position = prompt.length - options.window + i;
        const where = `layer ${layer}, head ${head}, window row ${i}`;
        assert.ok(difference(row(slot, i % BLOCK_ROWS, 0), keys[position]) < ROW_TOLERANCE, where);
        assert.ok(difference(row(slot, i % BLOCK_ROWS, 1), values[position]) < ROW_TOLERANCE, where);
      }
    }
  }
}

const dynamic = (budget: number | string, options = {}): KvCacheChoice => ({ policy: "dynamickv", budget, options });

Deno.test("compressed prompts of one pack keep the reference's best rows of every head, then their windows", async () => {
  const random = seededRandom(5);
  const cases: { length: number; budget: number; options: Options & { interval?: number; mode?: string } }[] = [
    { length: 210, budget: 40, options: DEFAULT_OPTIONS },
    { length: 33, budget: 12, options: { ...DEFAULT_OPTIONS, window: 4, kernel: 1, interval: 3 } },
    { length: 150, budget: 70, options: { ...DEFAULT_OPTIONS, pooling: "maximum", window: 20, interval: 1 } },
    { length: 120, budget: 24, options: { ...DEFAULT_OPTIONS, mode: "published" } },
  ];
  const prompts = cases.map(({ length }) => randomPrompt(random, length));
  const requests = cases.map(({ budget, options }, i) =>
    request(prompts[i], { maxTokens: 2, kvCache: dynamic(budget, options) })
  );
  const outcomes = await runTogether(model, requests);
  for (const [i, { budget, options }] of cases.entries()) {
    const rows = outcomes[i].kvCache!.rowsPerLayer;
    const held = rows.reduce((sum, count) => sum + count);
    assert.ok(held <= LAYERS * budget && held > LAYERS * (budget - BLOCK_ROWS), `prompt ${i} keeps ${held} rows`);
    await checkKeptRows(prompts[i], i, outcomes[i], options);
  }
  assert.ok(new Set(outcomes[0].kvCache!.rowsPerLayer).size > 2, "layers differ in what they keep");
  assert.equal(model.pool.usedBlocks, 0);
});

Deno.test("heads that are given different numbers of rows keep the reference's best ones, however often they are cut", async () => {
  const random = seededRandom(15);
  const cases = [
    { length: 210, budget: 40, policy: "adakv" },
    { length: 150, budget: 60, policy: "snapkv+lava" },
    { length: 33, budget: 12, policy: "adakv" },
    { length: 300, budget: 100, policy: "snapkv+lava" },
  ];
  const options = { ...DEFAULT_OPTIONS };
  const prompts = cases.map(({ length }) => randomPrompt(random, length));
  const outcomes = await runTogether(
    model,
    cases.map(({ budget, policy }, i) =>
      request(prompts[i], { maxTokens: 2, kvCache: { policy, budget, options: { ...options } } })
    ),
  );
  for (const [i, { budget }] of cases.entries()) {
    const { rowsPerLayer, rowsPerHead } = outcomes[i].kvCache!;
    assert.ok(Math.abs(rowsPerLayer.reduce((sum, rows) => sum + rows) - LAYERS * budget) < 1e-9);
    assert.ok(rowsPerHead!.some((heads) => new Set(heads).size > 1), "heads differ");
    await checkKeptRows(prompts[i], i, outcomes[i], options);
  }
  assert.equal(model.pool.usedBlocks, 0);
});

Deno.test("budgets are those of the policy, and in published mode of the published rule, for the reference's scores", async () => {
  const random = seededRandom(6);
  for (const [length, budget] of [[200, 32], [130, 64], [90, 12]]) {
    const prompt = randomPrompt(random, length);
    const scores = flatScores(referencePrompt(prompt, DEFAULT_OPTIONS));
    const ranked = ({ kvCache }: Outcome) => kvCache!.rowsPerLayer.map((rows) => rows - DEFAULT_OPTIONS.window);

    const [mended] = await runTogether(model, [request(prompt, { maxTokens: 1, kvCache: dynamic(budget) })]);
    const policy = startPolicy(dynamickv, contextOf(prompt, budget), {}, assert.fail)!;
    assert.deepEqual(ranked(mended), prefill(policy, scores).rows, `${length} rows, budget ${budget}`);

    const options = { mode: "published", maximumRatio: 10, interval: 4 };
    const [published] = await runTogether(model, [
      request(prompt, { maxTokens: 1, kvCache: dynamic(budget, options) }),
    ]);
    const expected = publishedRows(scores, {
      headCount: model.config.kvHeadCount,
      promptLength: length,
      capacity: budget,
      window: DEFAULT_OPTIONS.window,
      maximumRatio: 10,
      interval: 4,
    });
    assert.deepEqual(ranked(published), expected, `${length} rows, budget ${budget}, published`);
  }
});

/** Largest difference of two outcomes' log-probabilities, of the chosen tokens and of the alternatives. */
function logprobDifference(a: Outcome, b: Outcome): number {
  return Math.max(
    ...a.tokens.map((token, i) => Math.abs(token.logprob! - b.tokens[i].logprob!)),
    ...a.tokens.flatMap(({ topLogprobs }, i) =>
      topLogprobs!.map(({ logprob }, k) => Math.abs(logprob - b.tokens[i].topLogprobs![k].logprob))
    ),
  );
}

/** Adds a policy for as long as the action runs. */
async function withPolicy(policy: Policy, action: () => Promise<void>): Promise<void> {
  const list = policies as Policy[];
  list.push(policy);
  try {
    await action();
  } finally {
    list.splice(list.indexOf(policy), 1);
  }
}

Deno.test("a budget of the whole prompt or more, or a prompt within the budget, is the full cache", async () => {
  const random = seededRandom(7);
  for (const length of [1, 7, 16, 61, 300]) {
    const base = request(randomPrompt(random, length), { maxTokens: 12, topLogprobs: 5 });
    const [full] = await runTogether(model, [base]);
    for (const budget of [length, length + 1, 5000, "100%"]) {
      const [compressed] = await runTogether(model, [{ ...base, kvCache: dynamic(budget) }]);
      assert.deepEqual(compressed.ids, full.ids, `${length} rows, budget ${budget}`);
      assert.equal(logprobDifference(compressed, full), 0);
      assert.deepEqual(compressed.kvCache!.rowsPerLayer, Array(LAYERS).fill(length));
      assert.equal(compressed.kvCache!.bytes, full.kvCache!.fullBytes);
    }
  }
});

Deno.test("ranking every row instead of copying it changes nothing but the rounding", async () => {
  const everything: Policy = {
    ...dynamickv,
    name: "everything",
    start: ({ promptLength }) => ({
      score: DEFAULT_SCORE,
      perHead: false,
      attentionStatistics: false,
      exactScores: false,
      provisionalRows: () => promptLength - DEFAULT_OPTIONS.window,
      isRebalanceDue: () => true,
      allot: (layers) => Uint32Array.from(layers, ({ heldRows }) => heldRows),
    }),
  };
  await withPolicy(everything, async () => {
    const random = seededRandom(8);
    for (const length of [9, 61, 300]) {
      const base = request(randomPrompt(random, length), { maxTokens: 12, topLogprobs: 5 });
      const [full] = await runTogether(model, [base]);
      const [ranked] = await runTogether(model, [{ ...base, kvCache: { policy: "everything", budget: length } }]);
      assert.deepEqual(ranked.ids, full.ids);
      // The same sums of the same f32 numbers in another order, through seven layers.
      assert.ok(
        logprobDifference(ranked, full) < 2e-4,
        `log-probabilities differ by ${logprobDifference(ranked, full)}`,
      );
      assert.deepEqual(ranked.kvCache!.rowsPerLayer, Array(LAYERS).fill(length));
    }
  });
});

Deno.test("heads that end with equal budgets generate what a uniform policy does, packed or not", async () => {
  const detour = (name: string, first: (base: number) => [number, number]): Policy => ({
    ...adakv,
    name,
    start(context, options) {
      const { kvHeadCount, budget } = context;
      const base = budget - DEFAULT_OPTIONS.window;
      assert.equal(kvHeadCount, 2);
      return {
        ...adakv.start(context, options)!,
        provisionalRows: () => 2 * base,
        // Of the first three layers: uneven rows to begin with, which packs them; then the same for all.
        allot: (layers) => Uint32Array.from(layers.flatMap(() => layers.length < 4 ? first(base) : [base, base])),
      };
    },
  });
  const random = seededRandom(16);
  await withPolicy(detour("even", (base) => [base, base]), async () => {
    await withPolicy(detour("uneven", (base) => [base + 1, Math.floor(1.9 * base)]), async () => {
      for (const [length, budget] of [[300, 40], [200, 24], [61, 9]]) {
        const base = request(randomPrompt(random, length), { maxTokens: 40, topLogprobs: 5 });
        const run = async (policy: string) => {
          const kvCache = { policy, budget, options: { ...DEFAULT_OPTIONS } };
          const run = new TestRun(model);
          run.add({ ...base, kvCache });
          const { outcomes: [outcome] } = await run.end();
          assert.deepEqual(run.logged, []);
          return outcome;
        };
        const uniform = await run("snapkv");
        for (const policy of ["even", "uneven"]) {
          const outcome = await run(policy);
          assert.deepEqual(outcome.ids, uniform.ids, `${policy}, ${length} rows, budget ${budget}`);
          assert.equal(logprobDifference(outcome, uniform), 0, "the same numbers in the same order");
          assert.deepEqual(outcome.kvCache!.rowsPerLayer, uniform.kvCache!.rowsPerLayer);
          assert.equal(outcome.kvCache!.bytes, uniform.kvCache!.bytes);
          // What was uploaded last stays to be seen.
          assert.equal(observed.heads(0, 0) !== null, policy === "uneven");
        }
      }
    });
  });
  assert.equal(model.pool.usedBlocks, 0);
});

Deno.test("sequences of one pack with different policies report and generate what each of them does alone", async () => {
  const random = seededRandom(9);
  const choices: KvCacheChoice[] = [
    dynamic(30),
    { policy: "full", budget: 1 },
    dynamic("20%", { mode: "published", window: 5 }),
    dynamic(50, { kernel: 3, pooling: "maximum", interval: 5, floor: 0.5 }),
    { policy: "readahead", budget: 40, options: { lookups: 24 } },
    { policy: "adakv", budget: 40 },
    { policy: "lava", budget: 30 },
    { policy: "h2o+lava", budget: 30 },
  ];
  const requests: GenerationRequest[] = choices.map((kvCache, i) =>
    request(randomPrompt(random, [170, 64, 220, 90, 320, 200, 110, 70][i]), { maxTokens: 24, topLogprobs: 2, kvCache })
  );
  const together = await runTogether(model, requests);
  for (const [i, single] of requests.entries()) {
    const [alone] = await runTogether(model, [single]);
    assert.deepEqual(together[i].kvCache, alone.kvCache, `sequence ${i}`);
    assert.deepEqual(together[i].ids, alone.ids, `sequence ${i}`);
    assert.ok(logprobDifference(together[i], alone) < 2e-4, `sequence ${i}`);
  }
});

Deno.test("usage reports per layer the rows whose blocks the pool holds", async () => {
  const random = seededRandom(10);
  const { pool } = model;
  let usedPerLayer: number[][] = [];
  const { writeTable } = model.slots;
  // Tables are uploaded for the last time before the first decode step, when all layers have been cut.
  model.slots.writeTable = (...given) => {
    writeTable(...given);
    usedPerLayer.push(Array.from(pool.usedPerLayer));
  };
  const usageOf = async (choice: KvCacheChoice) => {
    usedPerLayer = [];
    const single = request(randomPrompt(random, 260), { maxTokens: 2, kvCache: choice });
    return (await runTogether(model, [single]))[0].kvCache;
  };
  const byHead = await usageOf({ policy: "adakv", budget: 48, options: { window: 8 } });
  assert.equal(byHead!.bytes, usedPerLayer.at(-1)!.reduce((sum, blocks) => sum + blocks) * pool.blockBytes);
  // A part-empty slot in each of two heads at most, and one that is free.
  assert.ok(usedPerLayer.at(-1)!.every((blocks) => blocks <= Math.floor((2 * 40 + 2 * 15) / 16 / 2 + 1 / 2) + 1));
  assert.deepEqual(
    byHead!.rowsPerHead!.map((heads) => heads.reduce((sum, rows) => sum + rows)),
    Array(LAYERS).fill(96),
  );
  const kvCache = await usageOf(dynamic(48));
  model.slots.writeTable = writeTable;
  assert.equal(kvCache!.rowsPerHead, undefined);
  // The 8 rows of the window and the generated ones share a block.
  assert.deepEqual(usedPerLayer.at(-1), kvCache!.rowsPerLayer.map((rows) => blocksFor(rows - 8) + 1));
  assert.equal(kvCache!.bytes, usedPerLayer.at(-1)!.reduce((sum, blocks) => sum + blocks) * pool.blockBytes);
  assert.equal(kvCache!.fullBytes, LAYERS * blocksFor(260) * pool.blockBytes);
  assert.equal(kvCache!.promptRows, 260);
});

for (
  const [what, broken] of Object.entries<Partial<Policy>>({
    "throws at the start": {
      start() {
        throw new Error("Broken on purpose");
      },
    },
    "throws when it allots": {
      start: (...given) => ({
        ...dynamickv.start(...given)!,
        allot() {
          throw new Error("Broken on purpose");
        },
      }),
    },
    "allots more than there is": {
      start: (...given) => ({
        ...dynamickv.start(...given)!,
        allot: (layers) => Uint32Array.from(layers, ({ heldRows }) => heldRows + 1),
      }),
    },
    "asks for impossible rows half-way": {
      start(...given) {
        const policy = dynamickv.start(...given)!;
        let asked = 0;
        return { ...policy, provisionalRows: (layer) => ++asked > LAYERS + 3 ? -1 : policy.provisionalRows(layer) };
      },
    },
  })
) {
  Deno.test(`a policy that ${what} is counted, logged, and replaced by uniform budgets`, async () => {
    await withPolicy({ ...dynamickv, ...broken, name: "broken" }, async () => {
      const prompt = randomPrompt(seededRandom(11), 150);
      const run = new TestRun(model);
      run.add(request(prompt, { kvCache: { policy: "broken", budget: 40 } }));
      const { outcomes: [outcome], stats } = await run.end();
      assert.deepEqual(stats.policyFallbacks, { broken: 1 });
      assert.equal(outcome.kvCache!.fallback, run.logged[0].replace(/^.*take its place: /, ""));
      assert.equal(run.logged.length, 1);
      assert.match(run.logged[0], /^KV cache policy broken failed, uniform budgets take its place: /);
      assert.equal(outcome.ids.length, 8);
      assert.deepEqual(outcome.last, { type: "finished", reason: "length", completionTokens: 8 });
      assert.deepEqual(outcome.kvCache!.rowsPerLayer, Array(LAYERS).fill(40));
      assert.equal(model.pool.usedBlocks, 0);
    });
  });
}

Deno.test("a policy that fails when heads differ already keeps the budget, and gives what it has not cut yet to the others", async () => {
  const broken: Policy = {
    ...adakv,
    name: "broken",
    start(...given) {
      const policy = adakv.start(...given)!;
      return { ...policy, allot: (layers) => layers.length > 3 ? new Uint32Array(1) : policy.allot(layers) };
    },
  };
  await withPolicy(broken, async () => {
    const run = new TestRun(model);
    run.add(request(randomPrompt(seededRandom(11), 150), { kvCache: { policy: "broken", budget: 40 } }));
    const { outcomes: [outcome], stats } = await run.end();
    assert.deepEqual(stats.policyFallbacks, { broken: 1 });
    assert.equal(outcome.kvCache!.fallback, run.logged[0].replace(/^.*take its place: /, ""));
    assert.match(run.logged[0], /returned 1 budgets for 2 heads of 4 layers/);
    assert.equal(outcome.ids.length, 8);
    const { rowsPerLayer, rowsPerHead } = outcome.kvCache!;
    assert.equal(rowsPerLayer.reduce((sum, rows) => sum + rows), LAYERS * 40);
    assert.ok(rowsPerHead!.slice(0, 3).some(([first, second]) => first !== second));
    assert.equal(model.pool.usedBlocks, 0);
  });
});
