import assert from "node:assert/strict";
import { BIN_COUNT } from "../../src/scores/score_histogram.ts";
import type { GenerationEvent, KvCacheChoice, KvCacheUsage } from "../../src/contract/generation.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { TurnLoop } from "../../src/engine/turn_loop.ts";
import { Gpu } from "../../src/gpu/gpu.ts";
import type { Model } from "../../src/model/model.ts";
import type { LayerScores, Policy } from "../../src/policy/policy.ts";
import { hostStepsOf } from "../../src/policy/steps.ts";
import { findPolicy, policies, POLICY_NAMES, registry, scorers } from "../support/policies.ts";
import { withFile } from "../support/files.ts";
import { loadTestModel } from "../support/greedy.ts";
import { readBuffer } from "../../fixtures/gpu.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";

const LAYERS = 3;
const CONTEXT = 700;
const gpu = await Gpu.open();
const model: Model = await withFile(
  tinyGguf({ architecture: "llama", seed: 5, layers: LAYERS, context: 1024 }),
  (path) => loadTestModel(gpu, path, { contextLength: CONTEXT, kvElement: "f32" }),
);

/** Prefills prompts, all waiting from the start, on one loop, round after round. */
class Runner {
  readonly #ended: Promise<void>;
  readonly #events = new Map<number, { usage?: KvCacheUsage; finish: PromiseWithResolvers<void> }>();
  readonly loop: TurnLoop;
  #next = 0;

  constructor() {
    this.loop = new TurnLoop(
      model,
      registry,
      (id, event) => this.#receive(id, event),
      (line) => assert.fail(line),
    );
    this.#ended = this.loop.run();
  }

  async round(prompts: readonly { length: number; kvCache: KvCacheChoice }[]): Promise<KvCacheUsage[]> {
    const random = seededRandom(1);
    const started = prompts.map(({ length, kvCache }) => {
      const id = this.#next++;
      const state = { finish: Promise.withResolvers<void>() };
      this.#events.set(id, state);
      this.loop.add(id, {
        prompt: Uint32Array.from({ length }, () => randomInteger(random, 3, 299)),
        maxTokens: 3,
        stopTokens: [],
        sampling: GREEDY,
        kvCache,
      });
      return state as { usage?: KvCacheUsage; finish: PromiseWithResolvers<void> };
    });
    await Promise.all(started.map(({ finish }) => finish.promise));
    return started.map(({ usage }) => usage!);
  }

  async end(): Promise<void> {
    this.loop.close();
    await this.#ended;
    this.loop.destroy();
  }

  #receive(id: number, event: GenerationEvent): void {
    const state = this.#events.get(id)!;
    if (event.type === "prefilled") state.usage = event.kvCache;
    if (event.type === "finished") state.finish.resolve();
  }
}

Deno.test("every policy and every combination runs, keeps its budget and gives all blocks back", async () => {
  const runner = new Runner();
  const prompts = POLICY_NAMES.flatMap((policy) =>
    [[300, 40], [33, 16], [5, 2]].map(([length, budget]) => ({ length, budget, kvCache: { policy, budget } }))
  );
  const usages = await runner.round(prompts);
  for (const [i, { length, budget, kvCache }] of prompts.entries()) {
    const { policy, rowsPerLayer } = usages[i];
    assert.equal(policy, kvCache.policy);
    const rows = rowsPerLayer.reduce((a, b) => a + b);
    const started = findPolicy(policy)!.start({
      layerCount: LAYERS,
      kvHeadCount: 2,
      headSize: 16,
      blockSize: 16,
      messages: [],
      promptLength: length,
      budget,
    }, {});
    if (started === null) assert.deepEqual(rowsPerLayer, Array(LAYERS).fill(length));
    else assert.equal(rows, LAYERS * budget, `${policy}, ${length} rows`);
  }
  const { policyFallbacks } = runner.loop.stats();
  assert.deepEqual(policyFallbacks, {});
  assert.equal(model.pool.usedBlocks, 0);
  await runner.end();
});

/** Whether a policy has something computed on the host for every layer. */
function asksHost(name: string): boolean {
  const context = {
    layerCount: LAYERS,
    kvHeadCount: 2,
    headSize: 16,
    blockSize: 16,
    promptLength: 60,
    budget: 12,
    messages: [],
  };
  const started = findPolicy(name)!.start(context, {});
  return started !== null && hostStepsOf(started.score).length > 0;
}

Deno.test("a policy creates what it needs on the GPU when it is first used, and nothing after that", async () => {
  const runner = new Runner();
  // What the host computes of a layer is read back into a buffer that lives as long as that takes.
  const names = POLICY_NAMES.filter((name) => !asksHost(name));
  const prompts = names.map((policy, i) => ({ length: 20 + 3 * i, kvCache: { policy, budget: 12 } }));
  await runner.round(prompts);
  const before = { ...gpu.counters };
  await runner.round(prompts.map(({ kvCache }) => ({ length: 60, kvCache })));
  assert.deepEqual(gpu.counters, before);
  await runner.end();
});

/** Sums of the pooled scores that are left of the last layer, by head. */
async function pooledSums(scored: number): Promise<number[]> {
  const pooled = new Float32Array(await readBuffer(gpu, model.compressor.scores));
  const { capacity, kvHeadCount } = model.compressor.options;
  return Array.from(
    { length: kvHeadCount },
    (_, head) => pooled.subarray(head * capacity, head * capacity + scored).reduce((a, b) => a + b, 0),
  );
}

Deno.test("h2o counts the attention of every row of a prompt once, in prompts of any number of tiles, packed or not", async () => {
  const runner = new Runner();
  const kvCache = { policy: "h2o", budget: 10, options: { recentShare: 0 } };
  for (const lengths of [[40], [256], [257], [600], [100, 200, 300], [255, 2, 300]]) {
    await runner.round(lengths.map((length) => ({ length, kvCache })));
    // What is left is of the last prompt. Every row gives 1 / N in all; all rows are scored but the last, which only it sees.
    const length = lengths.at(-1)!;
    for (const sum of await pooledSums(length - 1)) {
      assert.ok(sum < 1 + 1e-4 && sum > 1 - 1 / length - 1e-4, `${lengths}: the attention adds up to ${sum}`);
    }
  }
  await runner.end();
});

Deno.test("an allocator that asks for statistics gets those of every layer, whatever the scorer", async () => {
  const seen: (readonly LayerScores[])[] = [];
  const list = policies as Policy[];
  for (const scorer of scorers) {
    const cake = findPolicy(`${scorer.name}+cake`)!;
    list.push({
      ...cake,
      name: `watched ${scorer.name}`,
      start(...given) {
        const started = cake.start(...given);
        return started && { ...started, allot: (layers) => (seen.push(layers), started.allot(layers)) };
      },
    });
  }
  const runner = new Runner();
  for (const scorer of scorers) {
    seen.length = 0;
    const [{ rowsPerLayer }] = await runner.round([
      { length: 200, kvCache: { policy: `watched ${scorer.name}`, budget: 40 } },
    ]);
    assert.deepEqual(seen.map(({ length }) => length), [1, 2, 3]);
    assert.equal(rowsPerLayer.reduce((a, b) => a + b), LAYERS * 40);
    for (const { statistics, histogram } of seen.at(-1)!) {
      assert.equal(histogram.length, BIN_COUNT);
      // Four heads, at most 64 rows, each at most ln 200.
      assert.ok(statistics!.entropy > 0 && statistics!.entropy < 4 * 64 * Math.log(200), scorer.name);
      assert.ok(statistics!.variance >= 0 && statistics!.variance < 4 * 64, scorer.name);
    }
    assert.equal(new Set(seen.at(-1)!.map(({ statistics }) => statistics!.entropy)).size, LAYERS, "each its own");
  }
  list.splice(list.length - scorers.length);
  await runner.end();
});
