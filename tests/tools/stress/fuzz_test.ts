import assert from "node:assert/strict";
import { startApp } from "../../routes/harness.ts";
import { byteTokens } from "../../support/fake_text.ts";
import { fuzz } from "../../../tools/stress/fuzz.ts";

Deno.test("wrong requests are refused, not failed at, and leave nothing behind", async () => {
  const { app, engine } = startApp({ tokens: byteTokens("Grüße 世 😀 <tool_call>") });
  const { findings, statuses } = await fuzz({
    count: 1500,
    seed: 1,
    send: async (path, init) => await app.request(path, init),
  });
  assert.deepEqual(findings, []);
  // Both kinds of answers have been seen, or nothing was tried.
  assert.ok(statuses.get(200)! > 100 && statuses.get(400)! > 300, JSON.stringify([...statuses]));
  await engine.idle();
  assert.deepEqual((await (await app.request("/v1/kv/sequences")).json()).data, []);
});

Deno.test("fuzz() finds failures, hangs, and streams that break off", async () => {
  const why = async (answer: () => Promise<Response>) => {
    const { findings } = await fuzz({ count: 1, seed: 1, patienceMilliseconds: 20, send: answer });
    return findings[0]?.why ?? null;
  };
  const events = { "content-type": "text/event-stream; charset=utf-8" };
  assert.match((await why(() => Promise.resolve(new Response("x", { status: 500 }))))!, /status 500/);
  assert.match((await why(() => Promise.resolve(new Response("<html>", { status: 400 }))))!, /no JSON/);
  assert.match((await why(() => Promise.resolve(Response.json({}, { status: 400 }))))!, /without a message/);
  assert.match((await why(() => Promise.resolve(new Response("data: {", { headers: events }))))!, /within an event/);
  assert.match((await why(() => Promise.reject(new Error("reset"))))!, /reset/);
  assert.equal(await why(() => new Promise(() => {})), "it hangs");
  assert.equal(await why(() => Promise.resolve(Response.json({ error: { message: "no" } }, { status: 503 }))), null);
});
