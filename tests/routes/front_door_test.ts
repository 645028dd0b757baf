import assert from "node:assert/strict";
import { FrontDoor } from "../../src/routes/front_door.ts";
import { readError } from "./harness.ts";

const APPLICATION = { fetch: (request: Request) => new Response(`${request.method} ${new URL(request.url).pathname}`) };
const URL_OF_MODELS = "http://localhost/v1/models";

Deno.test("a request that comes while the model is loading waits for it", async () => {
  const door = new FrontDoor({});
  const body = JSON.stringify({ prompt: "x" });
  const replies = [
    door.fetch(new Request(URL_OF_MODELS)),
    door.fetch(new Request("http://localhost/v1/completions", { method: "POST", body })),
  ];
  door.progress({ stage: "tensors", done: 1, total: 2 });
  const health = await door.fetch(new Request("http://localhost/health"));
  assert.deepEqual([health.status, await health.json()], [503, { status: "loading" }]);
  door.open(APPLICATION);
  const texts = await Promise.all(replies.map(async (reply) => await (await reply).text()));
  assert.deepEqual(texts, ["GET /v1/models", "POST /v1/completions"]);
  assert.equal(await (await door.fetch(new Request("http://localhost/health"))).text(), "GET /health");
});

Deno.test("a request that has waited long is told to come again", async () => {
  const door = new FrontDoor({}, 20);
  const response = await door.fetch(new Request(URL_OF_MODELS));
  assert.equal(response.headers.get("retry-after"), "1");
  const error = await readError(response);
  assert.deepEqual([error.status, error.code], [503, "model_loading"]);
});

Deno.test("a request does not wait where a stage of loading will take too long", async () => {
  let now = 0;
  const door = new FrontDoor({}, 10_000, () => now);
  // 2 of 10 in 4 seconds: 16 are left; then 6 of 10 in 6: 4 are left; and of the next stage nothing is known.
  const waits = async () => {
    const reply = door.fetch(new Request(URL_OF_MODELS));
    const first = await Promise.race([reply, new Promise((resolve) => setTimeout(resolve, 20, "waits"))]);
    return first === "waits";
  };
  door.progress({ stage: "tensors", done: 0, total: 10 });
  now = 4000;
  door.progress({ stage: "tensors", done: 2, total: 10 });
  assert.equal(await waits(), false);
  now = 6000;
  door.progress({ stage: "tensors", done: 6, total: 10 });
  assert.equal(await waits(), true);
  door.progress({ stage: "kernels", done: 0, total: 10 });
  assert.equal(await waits(), true);
  door.open(APPLICATION);
});

Deno.test("a page or a name that is not allowed does not wait", async () => {
  const door = new FrontDoor({ allowedHosts: ["127.0.0.1"] });
  const page = await door.fetch(new Request(URL_OF_MODELS, { headers: { origin: "https://example.org" } }));
  assert.equal((await readError(page)).code, "origin_not_allowed");
  assert.equal((await readError(await door.fetch(new Request("http://evil.example/")))).code, "host_not_allowed");
});
