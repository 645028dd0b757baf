import assert from "node:assert/strict";
import { TOKEN } from "../../support/fake_text.ts";
import { startApp } from "../harness.ts";

type App = ReturnType<typeof startApp>["app"];

/** The samples of `/metrics` by name and labels, the model's own label left out. */
async function scrape(app: App): Promise<Map<string, number>> {
  const response = await app.request("/metrics");
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const samples = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name, labels, value] = /^([\w:]+)\{(.*)\} (\S+)$/.exec(line)!;
    const kept = labels.split(",").filter((label) => label !== 'model_name="fake-model"');
    assert.equal(kept.length, labels.split(",").length - 1, "every sample names the model");
    samples.set(kept.length > 0 ? `${name}{${kept}}` : name, Number(value));
  }
  return samples;
}

function assertSamples(samples: Map<string, number>, expected: Record<string, number>): void {
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, samples.get(name)])), expected);
}

Deno.test("/metrics shows what the engine counts, the same when asked twice", async () => {
  const { app } = startApp({ tokens: [] });
  await scrape(app);
  assertSamples(await scrape(app), {
    ebb_num_requests_running: 2,
    ebb_num_requests_waiting: 3,
    ebb_prompt_tokens_total: 110,
    ebb_generation_tokens_total: 45,
    ebb_decode_steps_total: 40,
    ebb_gpu_submits_total: 10,
    ebb_gpu_dispatches_total: 5000,
    ebb_encode_seconds_total: 0.25,
    ebb_kv_blocks_peak: 60,
    ebb_kv_cache_usage_perc: 0.25,
    ebb_kv_blocks: 100,
    'ebb_kv_blocks_used{layer="0"}': 10,
    'ebb_kv_blocks_used{layer="1"}': 15,
    ebb_kv_block_bytes: 4096,
    ebb_kv_blocks_cached: 15,
    ebb_prefix_cache_queries_total: 110,
    ebb_prefix_cache_hits_total: 48,
    ebb_kv_rebalances_total: 7,
    ebb_kv_rebalance_seconds_total: 0.5,
    'ebb_kv_rows_evicted_total{layer="0"}': 30,
    'ebb_kv_rows_evicted_total{layer="1"}': 60,
    'ebb_kv_policy_fallbacks_total{policy="dynamickv"}': 1,
    'ebb_kv_unusable_scores_total{policy="mine"}': 8,
    ebb_gpu_memory_bytes: 123456,
  });
});

Deno.test("/metrics counts requests, their ends and their latencies", async () => {
  const { app, post } = startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.end], batch: 2 });
  await post("/v1/completions", { prompt: "abc" });
  await post("/v1/completions", { prompt: "abc", max_tokens: 1 });
  await post("/v1/completions", {});
  await app.request("/nowhere/else");
  assertSamples(await scrape(app), {
    'ebb_request_success_total{finished_reason="stop"}': 1,
    'ebb_request_success_total{finished_reason="length"}': 1,
    'ebb_http_requests_total{method="POST",path="/v1/completions",status="200"}': 2,
    'ebb_http_requests_total{method="POST",path="/v1/completions",status="400"}': 1,
    'ebb_http_requests_total{method="GET",path="unknown",status="404"}': 1,
    ebb_time_to_first_token_seconds_count: 2,
    // The first event brings two tokens, or one; one more follows.
    ebb_inter_token_latency_seconds_count: 1,
    ebb_e2e_request_latency_seconds_count: 2,
    ebb_request_prompt_tokens_sum: 8,
    ebb_request_generation_tokens_sum: 4,
    'ebb_request_prompt_tokens_bucket{le="2"}': 0,
    'ebb_request_prompt_tokens_bucket{le="5"}': 2,
  });
});

Deno.test("failures, aborts and refusals are counted as such", async () => {
  const failing = startApp({ tokens: [], failure: "Lost" });
  await failing.post("/v1/completions", { prompt: "x" });
  assertSamples(await scrape(failing.app), { 'ebb_request_success_total{finished_reason="error"}': 1 });

  const full = startApp({ script: () => ({ tokens: [] }), capacity: 0 });
  await full.post("/v1/completions", { prompt: "x" });
  assertSamples(await scrape(full.app), { ebb_admission_rejections_total: 1 });

  const left = startApp({ tokens: [TOKEN.one], hold: "prefill" });
  const response = await left.post("/v1/completions", { prompt: "x", stream: true });
  await response.body!.cancel();
  await left.engine.idle();
  assertSamples(await scrape(left.app), { 'ebb_request_success_total{finished_reason="abort"}': 1 });
});

Deno.test("/metrics answers with its own part when the engine cannot", async () => {
  const { app, engine } = startApp({ tokens: [] }, { log: () => {} });
  await scrape(app);
  engine.stats = () => Promise.reject(new Error("The worker is gone"));
  const samples = await scrape(app);
  assert.equal(samples.has("ebb_time_to_first_token_seconds_count"), true);
  assert.equal(samples.has('ebb_kv_blocks_used{layer="0"}'), false);
});

Deno.test("methods that clients make up do not make new time series", async () => {
  const { app } = startApp({ tokens: [] });
  for (const method of ["FOO", "BAR"]) await app.request("/v1/models", { method });
  const series = [...(await scrape(app)).keys()].filter((name) => name.startsWith("ebb_http_requests_total"));
  assert.deepEqual(series, ['ebb_http_requests_total{method="unknown",path="/v1/models",status="405"}']);
});

Deno.test("/metrics has vLLM's names beside ours, with the same values", async () => {
  const { app, post } = startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.end], waitedSeconds: 0 });
  await post("/v1/completions", { prompt: "abc" });
  const samples = await scrape(app);
  assertSamples(samples, {
    'vllm:num_requests_running{engine="0"}': 2,
    'vllm:num_requests_waiting{engine="0"}': 3,
    'vllm:kv_cache_usage_perc{engine="0"}': 0.25,
    'vllm:prompt_tokens_total{engine="0"}': 110,
    'vllm:request_success_total{engine="0",finished_reason="stop"}': 1,
    'vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"}': 1,
    'vllm:request_queue_time_seconds_count{engine="0"}': 1,
    'vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="100"}': 1,
  });
  const ours = [...samples].filter(([name]) => name.startsWith("ebb_e2e_request_latency_seconds"));
  assert.ok(ours.length > 10);
  for (const [name, value] of ours) {
    const [, stem, labels = ""] = /^ebb_(\w+)(?:\{(.*)\})?$/.exec(name)!;
    assert.equal(samples.get(`vllm:${stem}{engine="0"${labels && `,${labels}`}}`), value, name);
  }
  const text = await (await app.request("/metrics")).text();
  assert.match(text, /^# TYPE vllm:e2e_request_latency_seconds histogram$/m);
  for (const [family] of text.matchAll(/^# TYPE \S+/gm)) assert.equal(text.split(`${family} `).length, 2, family);
});

Deno.test("the times of a request's parts are counted where the engine tells how long it waited", async () => {
  const { app, post } = startApp({ tokens: [TOKEN.one, TOKEN.two], waitedSeconds: 5 });
  await post("/v1/completions", { prompt: "abc", max_tokens: 2 });
  const silent = startApp({ tokens: [TOKEN.one, TOKEN.two] });
  await silent.post("/v1/completions", { prompt: "abc" });
  assertSamples(await scrape(app), {
    ebb_request_queue_time_seconds_sum: 5,
    ebb_request_decode_time_seconds_count: 1,
    ebb_request_params_max_tokens_sum: 2,
  });
  assertSamples(await scrape(silent.app), { ebb_request_queue_time_seconds_count: 0 });
});
