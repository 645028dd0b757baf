/** @file Given tokens, pauses and resumptions: what the GPU engine makes of them, the CPU engine does too. */
import assert from "node:assert/strict";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import type { GenerationEvent, GenerationRequest, Resumption } from "../../src/contract/generation.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { observedModel, TestRun } from "../support/scheduling.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 61, layers: 3, keyGains: [1, 0.3, 1.6] };
const SERVING = { contextLength: 400, maxBatch: 4 };
const { model } = await observedModel(MODEL, SERVING);
const cpu = await withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, SERVING));
const random = seededRandom(1);
const PROMPT = randomPrompt(random, 200);

const resumption = (length: number, rewind: boolean, maxTokens: number, logitsFrom?: number): Resumption => ({
  rewind,
  continuation: { tokens: Uint32Array.from(randomPrompt(random, length)), logitsFrom },
  maxTokens,
});

/** Two that pause and go on, beside one that does not. */
const REQUESTS: readonly GenerationRequest[] = [
  request(PROMPT, { resumableTokens: 100, maxTokens: 6, kvCache: { policy: "dynamickv", budget: 24 } }),
  request(PROMPT.slice(0, 120), {
    resumableTokens: 100,
    maxTokens: 0,
    continuation: { tokens: Uint32Array.from(randomPrompt(random, 5)), logitsFrom: 1 },
    kvCache: { policy: "adakv", budget: 30 },
    sampling: { ...GREEDY, temperature: 0.8, frequencyPenalty: 0.5, seed: 4 },
  }),
  request(PROMPT.slice(0, 50), { maxTokens: 40 }),
  request(PROMPT.slice(0, 30), { resumableTokens: 60, maxTokens: 0 }),
];
const RESUMPTIONS: readonly (readonly Resumption[])[] = [
  [resumption(3, true, 5), resumption(1, false, 7, 0), resumption(20, true, 0, 0)],
  [resumption(4, false, 9), resumption(30, true, 3)],
  [],
  [resumption(8, true, 4, 0)],
];

/** Resumes what pauses, and ends it when there is nothing to go on with. */
function player() {
  const played = REQUESTS.map(() => 0);
  return (
    id: number,
    { type }: GenerationEvent,
    scheduler: { resume(id: number, resumption: Resumption): void; abort(id: number): void },
  ) => {
    if (type !== "paused") return;
    const next = RESUMPTIONS[id][played[id]++];
    // Events are messages: what they lead to comes later.
    queueMicrotask(() => next ? scheduler.resume(id, next) : scheduler.abort(id));
  };
}

/** What was drawn and reported, in order; logits are compared by themselves. */
function story(events: readonly GenerationEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === "tokens") return event.tokens.map(({ id }) => `token ${id}`);
    if (event.type === "logits") return event.logits.map(() => "logits");
    // How long it waited is a matter of time.
    return [JSON.stringify({ ...event, waitedSeconds: undefined })];
  });
}

const logitsOf = (events: readonly GenerationEvent[]) =>
  events.flatMap((event) => event.type === "logits" ? event.logits : []);

Deno.test("sequences that pause, rewind and go on tell the same story on both engines", async () => {
  const play = player();
  const run: TestRun = new TestRun(model, (id, event) => play(id, event, run.loop));
  for (const asked of REQUESTS) run.add(asked);
  await run.end();
  const { events, stats } = await runOnCpu(cpu, REQUESTS, player());
  REQUESTS.forEach((_, i) => {
    assert.deepEqual(story(events[i]).toSorted(), story(run.events[i]).toSorted(), `request ${i}`);
    const expected = logitsOf(run.events[i]);
    logitsOf(events[i]).forEach((row, n) =>
      row.forEach((logit, token) =>
        assert.ok(Math.abs(logit - expected[n][token]) < 2e-3, `logits ${n} of request ${i}`)
      )
    );
  });
  assert.equal(stats.blocksUsed, 0);
  assert.equal(stats.running, 0);
});
