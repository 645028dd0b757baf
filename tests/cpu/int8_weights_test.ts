/** @file Weights of 8 bits: how far answers move, and that no sequence feels what runs beside it. */
import assert from "node:assert/strict";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import type { GenerationEvent } from "../../src/contract/generation.ts";
import type { WeightType } from "../../src/cpu/memory_plan.ts";
import { type CpuModel, loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { openModel } from "../../src/formats/open.ts";
import { EMBEDDED_MODEL } from "../../src/serving/embedded_model.ts";
import { withFile } from "../support/files.ts";

/** One of each family; biases, norms and an output of its own among them. */
const MODELS: readonly TinyModelOptions[] = [
  { architecture: "llama", seed: 5 },
  { architecture: "qwen2", seed: 7, tied: true },
  { architecture: "qwen3", seed: 9, headSize: 32, vocabulary: 318 },
  { architecture: "internlm2", seed: 3, attentionBias: true },
];

const load = (options: TinyModelOptions, weights: WeightType): Promise<CpuModel> =>
  withFile(tinyGguf(options), (path) => loadCpuModel(path, { weights, maxBatch: 8 }));

const logitsOf = (events: readonly GenerationEvent[]) =>
  events.flatMap((event) => event.type === "logits" ? event.logits : []);

function logSoftmax(logits: Float32Array): Float64Array {
  const most = Math.max(...logits);
  const logSum = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return Float64Array.from(logits, (logit) => logit - logSum);
}

/** Kullback-Leibler divergence of the second from the first, in nats. */
function divergence(logits: Float32Array, other: Float32Array): number {
  const [p, q] = [logSoftmax(logits), logSoftmax(other)];
  return p.reduce((sum, logprob, i) => sum + Math.exp(logprob) * (logprob - q[i]), 0);
}

/** How far the likelihoods of given tokens move, in nats on average. */
async function movement(
  load: (weights: WeightType) => Promise<CpuModel>,
  prompt: readonly number[],
  tokens: readonly number[],
): Promise<number> {
  const asked = request(prompt, {
    maxTokens: 0,
    continuation: { tokens: Uint32Array.from(tokens), logitsFrom: 1 },
  });
  const { events: [exact] } = await runOnCpu(await load("f32"), [asked]);
  const { events: [rounded] } = await runOnCpu(await load("int8"), [asked]);
  const others = logitsOf(rounded);
  const divergences = logitsOf(exact).map((logits, i) => divergence(logits, others[i]));
  assert.equal(divergences.length, tokens.length - 1);
  return divergences.reduce((sum, one) => sum + one) / divergences.length;
}

for (const options of MODELS) {
  Deno.test(`${options.architecture}: 8-bit weights move the probabilities of given tokens by less than 0.01 nats`, async () => {
    const random = seededRandom(1);
    const mean = await movement(
      (weights) => load(options, weights),
      randomPrompt(random, 40),
      randomPrompt(random, 40),
    );
    assert.ok(mean > 0 && mean < 0.01, `${mean}`);
  });
}

/** Aesop, translated by V. S. Vernon Jones, 1912. */
const FABLE =
  `A hungry Fox saw some fine bunches of Grapes hanging from a vine that was trained along a high trellis, and did
his best to reach them by jumping as high as he could into the air. But it was all in vain, for they were just out of reach: so he
gave up trying, and walked away with an air of dignity and unconcern, remarking, "I thought those Grapes were ripe, but I see now
they are quite sour."`.replaceAll("\n", " ");

Deno.test("Ebb Mini: 8-bit weights move the probabilities of prose by less than 0.004 nats", async () => {
  const file = await openModel(EMBEDDED_MODEL);
  const tokens = [...(await loadTokenizer(file)).encode(FABLE)];
  file.close();
  const mean = await movement(
    (weights) => loadCpuModel(EMBEDDED_MODEL, { weights }),
    tokens.slice(0, 1),
    tokens.slice(1),
  );
  assert.ok(mean > 0 && mean < 0.004, `${mean}`);
});

Deno.test("with 8-bit weights, a sequence's logits are the same to the last bit alone and in any company", async () => {
  const model = await load(MODELS[0], "int8");
  const random = seededRandom(2);
  const asked = Array.from({ length: 7 }, (_, i) =>
    request(randomPrompt(random, 20 + i), {
      maxTokens: 0,
      continuation: { tokens: Uint32Array.from(randomPrompt(random, 12)), logitsFrom: 1 },
    }));
  const alone: Float32Array[][] = [];
  for (const one of asked) alone.push(logitsOf((await runOnCpu(model, [one])).events[0]));
  for (const count of [2, 3, 7]) {
    const { events } = await runOnCpu(model, asked.slice(0, count));
    events.forEach((own, i) => assert.deepEqual(logitsOf(own), alone[i], `${count} sequences, ${i}`));
  }
});

Deno.test("attention of single rows is the same by our kernel and by onnxruntime, whatever each head holds", async () => {
  const random = seededRandom(3);
  const tokens = Uint32Array.from(randomPrompt(random, 20));
  const requests = [{ policy: "full", budget: 1 }, { policy: "adakv", budget: 20 }, { policy: "snapkv", budget: 37 }]
    .map((kvCache) =>
      request(randomPrompt(random, 150), { maxTokens: 0, kvCache, continuation: { tokens, logitsFrom: 1 } })
    );
  const run = async (withoutCrew: boolean) => {
    const options = { weights: "int8", withoutCrew } as const;
    const model = await withFile(tinyGguf(MODELS[0]), (path) => loadCpuModel(path, options));
    return (await runOnCpu(model, requests)).events.map(logitsOf);
  };
  const [ours, theirs] = [await run(false), await run(true)];
  ours.forEach((own, i) => {
    assert.equal(own.length, 19);
    own.forEach((row, n) =>
      row.forEach((logit, token) =>
        // Rows are rounded behind attention: what differs in its last bit may differ by a step of 14 bits.
        assert.ok(Math.abs(logit - theirs[i][n][token]) < 5e-3, `request ${i}, logits ${n}`)
      )
    );
  });
});
