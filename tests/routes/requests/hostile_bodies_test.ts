import assert from "node:assert/strict";
import { HOSTILE_BODIES } from "../../../fixtures/hostile_bodies.ts";
import { listen } from "../../../src/routes/listener.ts";
import { TOKEN } from "../../support/fake_text.ts";
import { startApp } from "../harness.ts";

Deno.test("bodies beyond the limits are refused in few words, and the server goes on", async () => {
  const drain = new AbortController();
  const { app, engine } = startApp({ script: () => ({ tokens: [TOKEN.end] }), maxSequences: 272 });
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
  for (const { name, path, make } of HOSTILE_BODIES.filter(({ within }) => !within)) {
    const response = await fetch(server.url + path, { method: "POST", body: make() });
    const reply = await response.text();
    assert.ok(response.status === 400 || response.status === 404, `${name}: ${response.status} ${reply.slice(0, 200)}`);
    const { error } = JSON.parse(reply);
    assert.ok(error.message.length < 1000, `${name}: ${error.message.slice(0, 200)}`);
    assert.equal((error.param ?? "").length < 200, true, name);
  }
  assert.equal(engine.generations.length, 0);
  assert.equal((await (await fetch(`${server.url}/health`)).json()).status, "ok");
  drain.abort();
  await server.finished;
});

Deno.test("bodies just within the limits are read", async () => {
  const { post } = startApp({ script: () => ({ tokens: [TOKEN.end] }), model: { contextLength: 10_000_000 } });
  for (const { name, path, make } of HOSTILE_BODIES.filter(({ within }) => within)) {
    const reply = await (await post(path, make())).json();
    // The fake vocabulary has no token for a word.
    if (name !== "256 forbidden words" && name !== "2,000 biases, 1,024 stop tokens") {
      assert.equal(reply.error, undefined, `${name}: ${reply.error?.message}`);
    } else assert.match(reply.error.message, /expected words of one token|expected ids below 300/);
  }
});

Deno.test("texts are encoded for their client and under the model's limit; prompts too many are not encoded", async () => {
  const tasks: unknown[] = [];
  const { post } = startApp(
    { script: () => ({ tokens: [TOKEN.end] }), maxSequences: 5 },
    {},
    undefined,
    (text, task) => {
      tasks.push([text.slice(0, 6), task?.limit]);
      assert.ok(task?.signal instanceof AbortSignal);
    },
  );
  await post("/v1/completions", { prompt: ["first", "second"] });
  await post("/v1/chat/completions", { messages: [{ role: "user", content: "third" }] });
  assert.deepEqual(tasks, [
    ["first", { tokens: 256, field: "prompt" }],
    ["second", { tokens: 256, field: "prompt" }],
    ["user: ", { tokens: 256, field: "messages" }],
  ]);
  const response = await post("/v1/completions", { prompt: Array(6).fill("x".repeat(100)) });
  assert.deepEqual([response.status, (await response.json()).error.code], [400, "too_many_completions"]);
  assert.equal(tasks.length, 3);
});
