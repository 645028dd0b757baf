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

Deno.test("texts that can never fit the context are not encoded, nor are prompts too many", async () => {
  let encoded = 0;
  const { post } = startApp({ script: () => ({ tokens: [] }), maxSequences: 5 }, {}, undefined, (text) => {
    encoded += text.length;
  });
  // Of the fake vocabulary, the longest token has 10 bytes, and the context 256 tokens.
  const long = "x".repeat(2561);
  const prompts = Array(6).fill("x".repeat(100));
  const bodies: [string, object, string][] = [
    ["/v1/completions", { prompt: long }, "context_length_exceeded"],
    ["/v1/completions", { prompt: ["x", long] }, "context_length_exceeded"],
    ["/v1/chat/completions", { messages: [{ role: "user", content: long }] }, "context_length_exceeded"],
    ["/v1/completions", { prompt: prompts }, "too_many_completions"],
  ];
  for (const [path, body, code] of bodies) {
    const response = await post(path, body);
    assert.deepEqual([response.status, (await response.json()).error.code], [400, code]);
  }
  assert.equal(encoded, 0);
});
