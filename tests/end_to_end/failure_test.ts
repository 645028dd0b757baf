import assert from "node:assert/strict";
import { until } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { TestServer } from "../support/server.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";

Deno.test("when the GPU is lost, every client is told before the process ends with an exit code of its own", async () => {
  const server = await withFile(tinyGguf({ architecture: "llama" }), (path) => TestServer.startMortal(path));
  const complete = (stream: boolean) =>
    fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "abc", max_tokens: 500, ignore_eos: true, stream }),
    });
  const streams = [complete(true), complete(true), complete(true)].map(async (reply) => (await reply).text());
  const replies = [complete(false), complete(false)];
  // Four run and one waits.
  await until(async () => (await server.metric("ebb_num_requests_waiting"))[0] === 1, "a full server");
  const end = server.loseDevice();
  for (const text of await Promise.all(streams)) {
    assert.match(text, /"code":"generation_failed"/);
    assert.match(text, /The GPU device was lost/);
  }
  for (const reply of await Promise.all(replies)) {
    assert.equal(reply.status, 500);
    assert.match((await reply.json()).error.message, /The GPU device was lost/);
  }
  const { code, stderr } = await end;
  assert.equal(code, 1);
  assert.match(stderr, /^The engine failed: The GPU device was lost/m);
});
