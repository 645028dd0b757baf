import assert from "node:assert/strict";
import { ApiKeys } from "../../../src/routes/access/api_keys.ts";
import { RateLimiter } from "../../../src/routes/access/rate_limit.ts";
import { TOKEN } from "../../support/fake_text.ts";
import { readError, startApp } from "../harness.ts";

Deno.test("a client's requests may come at once, and further ones as time goes by", () => {
  let now = 0;
  const limiter = new RateLimiter(() => now);
  const take = (client = "a") => limiter.take(client, 6);
  for (let request = 0; request < 6; request++) assert.equal(take().retryIn, 0);
  const refused = take();
  // One every ten seconds.
  assert.deepEqual([refused.remaining, refused.retryIn, refused.fullIn], [0, 10, 60]);
  assert.equal(take("b").remaining, 5);
  now += 9_999;
  assert.ok(take().retryIn > 0);
  now += 1;
  assert.equal(take().retryIn, 0);
  assert.ok(take().retryIn > 0);
  now += 3_600_000;
  assert.equal(take().remaining, 5);
});

Deno.test("a request beyond a key's rate gets a 429 that says when to come again; reading costs nothing", async () => {
  const apiKeys = new ApiKeys([{ name: "a", key: "one" }, { name: "b", key: "two", requestsPerMinute: 1 }]);
  const { app } = startApp({ tokens: [TOKEN.end] }, { apiKeys, requestsPerMinute: 2, now: () => 0 });
  const send = (
    key: string,
    path = "/v1/completions",
    init: RequestInit = { method: "POST", body: '{"prompt": "x"}' },
  ) => app.request(path, { ...init, headers: { authorization: `Bearer ${key}` } });
  const first = await send("one");
  assert.equal(first.status, 200);
  assert.equal(first.headers.get("x-ratelimit-limit-requests"), "2");
  assert.equal(first.headers.get("x-ratelimit-remaining-requests"), "1");
  assert.equal((await send("one")).status, 200);
  const refused = await send("one");
  assert.equal(refused.headers.get("retry-after"), "30");
  const { status, type, code } = await readError(refused);
  assert.deepEqual([status, type, code], [429, "rate_limit_error", "rate_limit_exceeded"]);
  assert.equal((await send("two")).status, 200);
  assert.equal((await send("two")).status, 429);
  assert.equal((await send("one", "/v1/models", {})).status, 200);
});

Deno.test("without keys, all clients share one rate", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] }, { requestsPerMinute: 1, now: () => 0 });
  assert.equal((await post("/v1/completions", { prompt: "x" })).status, 200);
  assert.equal((await post("/v1/completions", { prompt: "x" })).status, 429);
});
