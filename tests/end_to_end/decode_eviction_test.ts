/** @file Answers longer than the cache, through the whole program. */
import assert from "node:assert/strict";
import { until } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { TestServer } from "../support/server.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

const LAYERS = 4;
const MODEL: TinyModelOptions = {
  architecture: "llama",
  seed: 71,
  layers: LAYERS,
  keyGains: [1, 0.2, 1.6, 0.5],
  context: 1024,
};
/** 16 rows of 2 KV heads of 16 keys and 16 values, f16. */
const BLOCK_BYTES = 16 * 2 * 16 * 2 * 2;
/** What the whole answer would need is 4 layers of 60 blocks. */
const BLOCKS = 120;
const IDS = Array.from({ length: 100 }, (_, i) => 3 + (i * 37) % 280);
const MAX_TOKENS = 850;

Deno.test("an answer that is longer than the cache is generated where rows are evicted meanwhile, and only there", async () => {
  const server = await withFile(
    tinyGguf(MODEL),
    (path) => TestServer.start(path, "--kv-memory", String(BLOCKS * BLOCK_BYTES), "--max-batch", "4"),
  );
  try {
    const body = { prompt: IDS, max_tokens: MAX_TOKENS, temperature: 0, ignore_eos: true, logprobs: 0 };
    const complete = (kv_cache: unknown) => server.post("/v1/completions", { ...body, kv_cache });

    const refused = await complete({ policy: "dynamickv", budget: 64 });
    assert.equal(refused.error.code, "kv_memory_exceeded");
    const unable = await complete({ policy: "full", decode_eviction: true });
    assert.match(unable.error.message, /"full" cannot evict while tokens are generated/);
    const options = { mode: "published" };
    const published = await complete({ policy: "dynamickv", budget: 64, decode_eviction: true, options });
    assert.match(published.error.message, /cannot evict while generating with these options, .* the mode "mended"$/);

    const policies = ["dynamickv", "tova", "h2o"];
    const generate = async (policy: string, decode_eviction: unknown = 50) => {
      const { choices: [{ finish_reason, logprobs }], usage } = await complete({
        policy,
        budget: 64,
        decode_eviction,
      });
      assert.equal(finish_reason, "length");
      assert.equal(logprobs.tokens.length, MAX_TOKENS);
      const { interval, protect, evictions, rows_per_layer } = usage.kv_cache.decode_eviction;
      // 849 rows are generated, and each interval of 50 of them but the last part ends with an eviction; but the first one, where the
      // prompt's rows do not count.
      const ofPrompt = protect === "prompt" ? 64 : 0;
      assert.deepEqual([interval, evictions], [50, protect === "prompt" ? 15 : 16]);
      assert.equal(rows_per_layer.length, LAYERS);
      const rows = rows_per_layer.reduce((a: number, b: number) => a + b);
      assert.equal(rows, LAYERS * (ofPrompt + 64 + 849 - 16 * 50), policy);
      assert.equal(usage.kv_cache.prompt_rows, IDS.length);
      return protect;
    };
    for (const policy of policies) assert.equal(await generate(policy), "prompt");
    const [blocksPeak] = await server.metric("ebb_kv_blocks_peak");
    assert.ok(blocksPeak <= BLOCKS);
    assert.deepEqual(await server.metric("ebb_kv_decode_evictions_total"), [3 * 15]);
    const none = { interval: 50, protect: "none" };
    for (const policy of policies) assert.equal(await generate(policy, none), "none");

    // All at once, waiting for each other's blocks, with one that leaves in the middle. (Not that the tokens are the same as
    // alone: the size of a batch shows in the last bits of a logit, and among so many tokens one may be decided by them.)
    const leaver = new AbortController();
    const left = fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ ...body, stream: true, kv_cache: { policy: "tova", budget: 64, decode_eviction: 20 } }),
      signal: leaver.signal,
    }).then((reply) => reply.text());
    const together = policies.map((policy) => generate(policy));
    await until(async () => (await server.metric("ebb_kv_decode_evictions_total"))[0] > 3 * 31 + 4, "more evictions");
    leaver.abort();
    // On a busy machine its answer may be there already.
    await Promise.allSettled([left]);
    await Promise.all(together);
    await server.untilIdle();
  } finally {
    const { code, stderr } = await server.stop();
    assert.equal(code, 0, stderr);
    assert.ok(!stderr.includes('"level":"error"'), stderr);
  }
});
