import assert from "node:assert/strict";
import { TOKEN } from "../support/fake_text.ts";
import { readError, readEvents, startApp } from "./harness.ts";

const PATH = "/v1/completions";
const body = { prompt: "x", max_tokens: 9 };
const tokens = [TOKEN.one, TOKEN.two];

for (const hold of ["queue", "prefill", "decode"] as const) {
  Deno.test(`a request whose time is over in ${hold} gets a 504, and its sequence ends`, async () => {
    const { post, engine } = startApp({ tokens, hold }, { requestTimeoutSeconds: 0.02 });
    const response = await post(PATH, body);
    assert.equal(response.headers.get("x-should-retry"), "false");
    const { status, code } = await readError(response);
    assert.deepEqual([status, code], [504, "request_timeout"]);
    await engine.idle();
    assert.deepEqual(engine.aborts, [hold]);
  });
}

Deno.test("a stream whose time is over ends with an error", async () => {
  const { post } = startApp({ tokens, hold: "decode" }, { requestTimeoutSeconds: 0.02 });
  const events = await readEvents(await post(PATH, { ...body, stream: true }));
  assert.equal(events[0].choices[0].text, " one");
  assert.equal(events.at(-1).error.code, "request_timeout");
});

Deno.test("a request can name a shorter time, not a longer one", async () => {
  const held = startApp({ tokens, hold: "decode" });
  const headers = (seconds: string) => ({ headers: { "x-request-timeout": seconds } });
  assert.equal((await held.post(PATH, body, headers("0.02"))).status, 504);
  const limited = startApp({ tokens, hold: "decode" }, { requestTimeoutSeconds: 0.02 });
  assert.equal((await limited.post(PATH, body, headers("60"))).status, 504);
  for (const wrong of ["0", "-1", "soon", "1e3", "1.2.3"]) {
    const { status, param } = await readError(await held.post(PATH, body, headers(wrong)));
    assert.deepEqual([status, param], [400, "x-request-timeout"]);
  }
});

Deno.test("a request that is answered in its time is left alone", async () => {
  const { post } = startApp({ tokens }, { requestTimeoutSeconds: 60 });
  assert.equal((await post(PATH, body)).status, 200);
});
