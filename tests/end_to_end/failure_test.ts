import assert from "node:assert/strict";
import { until } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { TestServer } from "../support/server.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";

const MODEL = tinyGguf({ architecture: "llama" });

const complete = (server: TestServer, fields: object) =>
  fetch(`${server.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ prompt: "abc", max_tokens: 500, ignore_eos: true, ...fields }),
  });

/** Fills a server with streams and plain requests, of which one waits. */
async function fill(server: TestServer) {
  const streams = [1, 2, 3].map(async () => await (await complete(server, { stream: true })).text());
  const replies = [complete(server, {}), complete(server, {})];
  await until(async () => (await server.metric("ebb_num_requests_waiting"))[0] === 1, "a full server");
  return { streams, replies };
}

async function assertFailed({ streams, replies }: Awaited<ReturnType<typeof fill>>, reason: RegExp): Promise<void> {
  for (const text of await Promise.all(streams)) {
    assert.match(text, /"code":"generation_failed"/);
    assert.match(text, reason);
  }
  for (const reply of await Promise.all(replies)) {
    assert.equal(reply.status, 500);
    assert.match((await reply.json()).error.message, reason);
  }
}

Deno.test("when the GPU is lost or the engine's thread dies, every client is told, and later requests are answered", async () => {
  await withFile(MODEL, async (path) => {
    const server = await TestServer.startMortal(path);
    const answer = async () =>
      (await (await complete(server, { max_tokens: 8, temperature: 0 })).json()).choices?.[0].text;
    const before = await answer();
    assert.equal(typeof before, "string");
    for (const [how, reason] of [["lose", /The GPU device was lost/], ["die", /The thread died on purpose/]] as const) {
      const running = await fill(server);
      await server.harm(how);
      await assertFailed(running, reason);
      await until(async () => {
        const health = await fetch(`${server.url}/health`);
        const { status } = await health.json();
        assert.ok(status === "ok" || (status === "restarting" && health.status === 503), status);
        return status === "ok";
      }, "the engine's restart");
      assert.equal(await answer(), before);
      await server.untilIdle();
    }
    const { code, stderr } = await server.stop();
    assert.equal(code, 0);
    assert.match(stderr, /^The engine failed: The GPU device was lost.*; starting it again$/m);
    assert.match(stderr, /^The engine runs again$/m);
  });
});

Deno.test("when the engine does not start again, every client is told before the process ends with a code of its own", async () => {
  await withFile(MODEL, async (path) => {
    const server = await TestServer.startMortal(path, "once");
    const running = await fill(server);
    await server.harm("lose");
    await assertFailed(running, /The GPU device was lost/);
    const { code, stderr } = await server.end();
    assert.equal(code, 1);
    assert.match(stderr, /^The engine failed: No adapter is left$/m);
  });
});
