/**
 * @file One randomised test compares the engines: batches of sequences with shapes, policies, combinations, options of sampling,
 * evictions and given tokens drawn by lot must come out alike.
 */
import assert from "node:assert/strict";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import {
  DECODE_PROTECTIONS,
  type GenerationEvent,
  type GenerationRequest,
  type KvCacheChoice,
} from "../../src/contract/generation.ts";
import { GREEDY, type SamplingParameters } from "../../src/contract/sampling.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { type CpuRun, loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { outcomeOf, randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { observedModel, TestRun } from "../support/scheduling.ts";

const CONTEXT = 500;
const SERVING = { contextLength: CONTEXT, maxBatch: 4, kvMemory: 8 * 2 ** 20 };

/** One of each family, with heads and layers that differ. */
const MODELS: readonly TinyModelOptions[] = [
  { architecture: "llama", seed: 5, layers: 4, queryHeads: 6, kvHeads: 3, keyGains: [1, 0.3, 1.5, 0.1] },
  { architecture: "qwen2", seed: 7, layers: 3, queryHeads: 4, kvHeads: 1, keyGains: [1, 0.5] },
  { architecture: "qwen3", seed: 9, layers: 2, headSize: 32, tied: true },
  { architecture: "internlm2", seed: 3, layers: 3, kvHeads: 4, attentionBias: true },
];

const COMBINATIONS = builtInPolicies.scorers.flatMap((scorer) =>
  builtInPolicies.allocators.map((allocator) => `${scorer.name}+${allocator.name}`)
);

/** Sums of f32 in another order, through all layers and over some dozens of tokens. */
const ROUNDING = 2e-3;

type Random = () => number;
const one = <T>(random: Random, of: readonly T[]): T => of[randomInteger(random, 0, of.length - 1)];

function randomKvCache(random: Random): KvCacheChoice {
  const policy = one(random, [...builtInPolicies.policies.map(({ name }) => name), ...COMBINATIONS]);
  const rows = randomInteger(random, 4, 80);
  const byMass = builtInPolicies.find(policy)!.scoresAttention && random() < 0.3;
  const budget = byMass ? { mass: one(random, [0.5, 0.9, 0.99]), max: rows } : rows;
  const { ranksAgain, ranksGenerated } = builtInPolicies.find(policy)!;
  if (!ranksGenerated || random() < 0.5) return { policy, budget };
  // Boundaries are kept whatever their attention: no mass tells how many rows that takes.
  const protections = DECODE_PROTECTIONS.filter((protection) => !byMass || protection !== "boundaries");
  const decodeProtection = ranksAgain ? one(random, protections) : "prompt";
  return { policy, budget, decodeInterval: randomInteger(random, 3, 12), decodeProtection };
}

function randomSampling(random: Random): SamplingParameters {
  if (random() < 0.3) return GREEDY;
  return {
    ...GREEDY,
    temperature: 0.5 + random(),
    topK: one(random, [0, 0, 1, 5, 40]),
    topP: one(random, [1, 0.9, 0.5]),
    minP: one(random, [0, 0.02]),
    frequencyPenalty: one(random, [0, 0.7]),
    presencePenalty: one(random, [0, 0.4]),
    repetitionPenalty: one(random, [1, 1.3]),
    logitBias: random() < 0.3 ? [{ token: randomInteger(random, 3, 285), bias: 4 }] : [],
    seed: randomInteger(random, 0, 2 ** 31),
  };
}

function randomRequest(random: Random): GenerationRequest {
  const isGiven = random() < 0.4;
  return request(randomPrompt(random, randomInteger(random, 1, one(random, [20, 400]))), {
    maxTokens: randomInteger(random, 1, one(random, [30, 30, 90])),
    kvCache: randomKvCache(random),
    sampling: randomSampling(random),
    stopTokens: [one(random, [5, 17, 200])],
    ...isGiven && {
      continuation: { tokens: Uint32Array.from(randomPrompt(random, randomInteger(random, 1, 9))), logitsFrom: 2 },
    },
    topLogprobs: one(random, [undefined, 0, 3]),
  });
}

/** What an engine reported, without how it was cut into events. */
function summary(events: readonly GenerationEvent[]) {
  const { ids, kvCache, last } = outcomeOf(events);
  const evicted = events.flatMap((event) => event.type === "evicted" ? [event.rowsPerLayer] : []);
  return { ids, kvCache, last, evicted };
}

function logprobs(events: readonly GenerationEvent[]): number[] {
  const { tokens } = outcomeOf(events);
  return tokens.flatMap(({ logprob = 0, topLogprobs = [] }) => [logprob, ...topLogprobs.map(({ logprob }) => logprob)]);
}

function logits(events: readonly GenerationEvent[]): number[] {
  return events.flatMap((event) => event.type === "logits" ? event.logits.flatMap((row) => [...row]) : []);
}

/**
 * Whether rows can have the same score: the keys of a token in the first layer are equally long wherever it stands, and which of them
 * is kept is then a matter of rounding.
 */
function isTied({ kvCache: { policy } }: GenerationRequest): boolean {
  return policy.startsWith("knorm");
}

function assertClose(actual: readonly number[], expected: readonly number[], message: string): void {
  assert.equal(actual.length, expected.length, message);
  actual.forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]) < ROUNDING, `${message}: ${value}, ${expected[i]}`)
  );
}

for (const options of MODELS) {
  Deno.test(`${options.architecture}: batches drawn by lot come out alike on both engines`, async () => {
    const random = seededRandom(options.seed!);
    const observed = await observedModel(options, SERVING);
    const cpu = await withFile(tinyGguf(options), (path) => loadCpuModel(path, SERVING));
    for (let round = 0; round < 6; round++) {
      const requests = Array.from({ length: randomInteger(random, 1, 7) }, () => randomRequest(random));
      const run = new TestRun(observed.model);
      for (const asked of requests) run.add(asked);
      await run.end();
      const { events, stats }: CpuRun = await runOnCpu(cpu, requests);
      requests.forEach((asked, i) => {
        const name = `round ${round}, request ${i}: ${JSON.stringify({ ...asked, prompt: asked.prompt.length })}`;
        if (isTied(asked)) {
          assert.deepEqual(outcomeOf(events[i]).kvCache, outcomeOf(run.events[i]).kvCache, name);
          return;
        }
        assert.deepEqual(summary(events[i]), summary(run.events[i]), name);
        assertClose(logprobs(events[i]), logprobs(run.events[i]), name);
        assertClose(logits(events[i]), logits(run.events[i]), name);
      });
      assert.equal(stats.blocksUsed, 0);
      assert.deepEqual(stats.policyFallbacks, {});
    }
    observed.model.gpu.destroy();
  });
}
