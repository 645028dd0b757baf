import assert from "node:assert/strict";
import { arrivals } from "../../../src/eval/load/arrivals.ts";
import { type Measured, runLoad } from "../../../src/eval/load/measure.ts";
import { randomRequests, recordedRequests } from "../../../src/eval/load/prompts.ts";
import { loadChart, loadTables } from "../../../src/eval/load/report.ts";
import { summariseLoad, summaryJson } from "../../../src/eval/load/summary.ts";
import { Random } from "../../../src/eval/tasks/random.ts";

const LENGTHS = { input: 20, output: 10, spread: 0.5, prefix: 30, prefixes: 0 };
const one = (tokens: number) => tokens;
const words = (text: string) => text.split(" ").length;

Deno.test("random requests have about the lengths asked for, and are the same for the same seed", () => {
  const requests = randomRequests(200, LENGTHS, 1, one);
  assert.deepEqual(requests, randomRequests(200, LENGTHS, 1, one));
  assert.notDeepEqual(requests, randomRequests(200, LENGTHS, 2, one));
  for (const { prompt, maxTokens } of requests) {
    assert.ok(words(prompt) >= 10 && words(prompt) <= 30);
    assert.ok(maxTokens >= 5 && maxTokens <= 15);
  }
  assert.equal(new Set(requests.map(({ prompt }) => prompt)).size, 200);
  const [half] = randomRequests(1, { ...LENGTHS, spread: 0 }, 1, (tokens) => tokens / 2);
  assert.deepEqual([words(half.prompt), half.maxTokens], [10, 10]);
});

Deno.test("requests with shared beginnings take turns with them", () => {
  const requests = randomRequests(6, { ...LENGTHS, prefixes: 2 }, 1, one);
  const beginnings = requests.map(({ prompt }) => prompt.split(" ").slice(0, 30).join(" "));
  assert.equal(new Set(beginnings).size, 2);
  assert.equal(beginnings[0], beginnings[2]);
  assert.equal(new Set(requests.map(({ prompt }) => prompt)).size, 6);
});

Deno.test("recorded requests are the first turns of conversations", () => {
  const talk = (...values: string[]) => ({ conversations: values.map((value) => ({ from: "human", value })) });
  const text = JSON.stringify([talk("a", "x"), talk("alone"), talk("b", "y", "z")]);
  const requests = recordedRequests(text, 4, 7, 0);
  assert.deepEqual(requests.map(({ prompt }) => prompt).sort(), ["a", "a", "b", "b"]);
  assert.deepEqual(new Set(requests.map(({ maxTokens }) => maxTokens)), new Set([7]));
  assert.throws(() => recordedRequests("[]", 1, 1, 0), /at least one conversation/);
  assert.throws(() => recordedRequests("{}", 1, 1, 0), /expected \[\{"conversations"/);
});

Deno.test("arrivals come at the rate asked for, the more evenly the less bursts", () => {
  assert.deepEqual(arrivals(3, Infinity, 1, new Random("a")), [0, 0, 0]);
  const variationOf = (burstiness: number) => {
    const at = arrivals(4000, 50, burstiness, new Random("a"));
    assert.ok(Math.abs(at.at(-1)! - 80) < 1e-6);
    const gaps = at.map((time, i) => time - (at[i - 1] ?? 0));
    assert.ok(gaps.every((gap) => gap >= 0));
    const variance = gaps.reduce((sum, gap) => sum + (gap - 0.02) ** 2, 0) / gaps.length;
    return Math.sqrt(variance) / 0.02;
  };
  // A gamma distribution's coefficient of variation is one over the root of its shape.
  for (const burstiness of [0.25, 1, 4]) {
    const expected = 1 / Math.sqrt(burstiness);
    assert.ok(Math.abs(variationOf(burstiness) / expected - 1) < 0.1, `burstiness ${burstiness}`);
  }
});

Deno.test("a load keeps to its times and to its most at once, and every request is asked once", async () => {
  const running: number[] = [];
  let now = 0;
  const asked: string[] = [];
  const requests = Array.from({ length: 12 }, (_, i) => ({ prompt: String(i), maxTokens: 1 }));
  const { measured } = await runLoad(requests, requests.map(() => 0), {
    concurrency: 3,
    onDone() {},
    ask: async ({ prompt }) => {
      running.push(++now);
      asked.push(prompt);
      await new Promise((resolve) => setTimeout(resolve));
      now--;
      return { error: null, inputTokens: Number(prompt), outputTokens: 1, firstToken: 1, gaps: [], end: 1 };
    },
  });
  assert.equal(Math.max(...running), 3);
  assert.deepEqual(asked.map(Number).sort((a, b) => a - b), requests.map((_, i) => i));
  assert.deepEqual(measured.map(({ inputTokens }) => inputTokens), requests.map((_, i) => i));
});

const MEASURED: Measured[] = [
  { error: null, inputTokens: 10, outputTokens: 3, firstToken: 100, gaps: [20, 40], end: 160 },
  { error: null, inputTokens: 30, outputTokens: 1, firstToken: 300, gaps: [], end: 300 },
  { error: "refused", inputTokens: 0, outputTokens: 0, firstToken: 0, gaps: [], end: 5 },
];

Deno.test("a summary has vLLM's metrics, of answered requests alone", () => {
  const json = summaryJson(summariseLoad(MEASURED, 2, { ttft: 200, tpot: 30 }));
  const expected = {
    completed: 2,
    failed: 1,
    total_input_tokens: 40,
    total_output_tokens: 4,
    request_throughput: 1,
    request_goodput: 0.5,
    output_throughput: 2,
    total_token_throughput: 22,
    mean_ttft_ms: 200,
    median_ttft_ms: 200,
    std_ttft_ms: 100,
    p90_ttft_ms: 280,
    p99_ttft_ms: 298,
    // (160 - 100) / 2; an answer of one token has none.
    mean_tpot_ms: 30,
    mean_itl_ms: 30,
    p50_itl_ms: 30,
    mean_e2el_ms: 230,
    errors: ["refused"],
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, json[name]])), expected);
  assert.equal(summariseLoad(MEASURED, 2).requestGoodput, null);
  assert.equal(summariseLoad(MEASURED, 2, { e2el: 100 }).requestGoodput, 0);
  assert.equal(summariseLoad([MEASURED[2]], 2).times.ttft.mean, 0);
});

Deno.test("a summary is shown as tables and as a picture", () => {
  const summary = summariseLoad(MEASURED, 2);
  assert.match(loadTables(summary), /Requests answered +2\n/);
  assert.match(loadTables(summary), /Time to first token +200 +100 +200 +280 +290 +298/);
  const svg = loadChart(summary, ["fake-model: 3 requests"]);
  assert.match(svg, /^<svg /);
  for (const words of ["Time to first token", "p99", "fake-model: 3 requests"]) assert.ok(svg.includes(words), words);
});
