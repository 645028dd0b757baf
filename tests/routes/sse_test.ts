import assert from "node:assert/strict";
import { HttpError, toHttpError } from "../../src/routes/errors.ts";
import { eventStream } from "../../src/routes/sse.ts";
import { TOKEN } from "../support/fake_text.ts";
import { startApp, until } from "./harness.ts";

const decoder = new TextDecoder();
const LONG = 60_000;

function streamOf(source: AsyncIterable<unknown>, keepAliveMilliseconds = LONG, onCancel = () => {}) {
  return eventStream(source, { keepAliveMilliseconds, onCancel, toHttpError }).getReader();
}

Deno.test("eventStream() gives one whole event per chunk, then [DONE]", async () => {
  async function* source() {
    yield { text: "line\nbreak" };
    yield { n: 2 };
  }
  const reader = streamOf(source());
  const chunks = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(decoder.decode(next.value));
  assert.deepEqual(chunks, ['data: {"text":"line\\nbreak"}\n\n', 'data: {"n":2}\n\n', "data: [DONE]\n\n"]);
});

Deno.test("eventStream() asks for the next value only when the client has taken the last", async () => {
  let asked = 0;
  async function* source() {
    for (;;) yield ++asked;
  }
  const reader = streamOf(source());
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(asked, 0);
  await reader.read();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(asked, 2);
  await reader.cancel();
});

Deno.test("eventStream() fills silence with comments and loses nothing by it", async () => {
  const gate = Promise.withResolvers<void>();
  async function* source() {
    await gate.promise;
    yield "late";
  }
  const reader = streamOf(source(), 1);
  for (let ping = 0; ping < 3; ping++) assert.equal(decoder.decode((await reader.read()).value), ": ping\n\n");
  gate.resolve();
  const rest = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) rest.push(decoder.decode(next.value));
  assert.deepEqual(rest.filter((chunk) => chunk !== ": ping\n\n"), ['data: "late"\n\n', "data: [DONE]\n\n"]);
});

Deno.test("eventStream() words an error of its source as an event", async () => {
  // deno-lint-ignore require-yield
  async function* source() {
    throw new HttpError(503, "Enough", { code: "enough" });
  }
  const reader = streamOf(source());
  assert.equal(
    decoder.decode((await reader.read()).value),
    'data: {"error":{"message":"Enough","type":"server_error","param":null,"code":"enough"}}\n\n',
  );
  assert.equal(decoder.decode((await reader.read()).value), "data: [DONE]\n\n");
  assert.equal((await reader.read()).done, true);
});

Deno.test("eventStream() tells when the client has gone, even while it waits for an event", async () => {
  let cancelled = 0;
  const gate = Promise.withResolvers<void>();
  async function* source() {
    await gate.promise;
    yield "never read";
  }
  const reader = streamOf(source(), LONG, () => cancelled++);
  const pending = reader.read();
  await reader.cancel();
  assert.equal(cancelled, 1);
  assert.equal((await pending).done, true);
  gate.resolve();
});

Deno.test("a stream is kept alive in the queue, before the first token", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.hello, TOKEN.end], hold: "queue" }, { keepAliveMilliseconds: 1 });
  const response = await post("/v1/completions", { prompt: "x", stream: true });
  const reader = response.body!.getReader();
  assert.equal(decoder.decode((await reader.read()).value), ": ping\n\n");
  assert.equal(decoder.decode((await reader.read()).value), ": ping\n\n");
  engine.generations[0].release();
  let text = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value);
  assert.match(text, /"text":"Hello"/);
  assert.match(text, /data: \[DONE\]\n\n$/);
});

const REQUESTS = {
  "/v1/completions": { prompt: "x" },
  "/v1/chat/completions": { messages: [{ role: "user", content: "x" }] },
};

for (const phase of ["queue", "prefill", "decode"] as const) {
  Deno.test(`leaving a stream in ${phase} stops the generation, however it is noticed`, async () => {
    for (const [path, body] of Object.entries(REQUESTS)) {
      for (const notice of ["the stream", "the request", "both"]) {
        const { post, engine } = startApp({ tokens: [TOKEN.one, TOKEN.two], hold: phase });
        const client = new AbortController();
        const response = await post(path, { ...body, stream: true, n: 2 }, { signal: client.signal });
        const reader = response.body!.getReader();
        const pending = reader.read();
        await until(() => engine.generations.every((generation) => generation.phase === phase), phase);
        if (notice !== "the request") await reader.cancel();
        if (notice !== "the stream") client.abort();
        await pending;
        await engine.idle();
        assert.deepEqual(engine.aborts, [phase, phase]);
      }
    }
  });

  Deno.test(`leaving without a stream in ${phase} stops the generation`, async () => {
    for (const [path, body] of Object.entries(REQUESTS)) {
      const { post, engine } = startApp({ tokens: [TOKEN.one, TOKEN.two], hold: phase });
      const client = new AbortController();
      const response = post(path, body, { signal: client.signal });
      await until(() => engine.generations[0]?.phase === phase, phase);
      client.abort();
      assert.equal((await response).status, 499);
      await engine.idle();
      assert.deepEqual(engine.aborts, [phase]);
    }
  });
}

Deno.test("a request that has ended leaves nothing on the server's own signals", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: any[]) => (listeners++, add.apply(signal, args as any));
  signal.removeEventListener = (...args: any[]) => (listeners--, remove.apply(signal, args as any));
  const { post } = startApp({ tokens: [TOKEN.end] }, { shutdown: signal });
  await (await post("/v1/completions", { prompt: "x", stream: true })).text();
  await post("/v1/completions", { prompt: "x", n: 3 });
  assert.equal(listeners, 0);
});

Deno.test("a client that has gone before it was admitted costs the engine nothing", async () => {
  const { post, engine } = startApp({ tokens: [] });
  const response = await post("/v1/completions", { prompt: "x" }, { signal: AbortSignal.abort() });
  assert.equal(response.status, 499);
  assert.equal(engine.generations.length, 0);
});

Deno.test("a shutdown ends every stream with an error event, and refuses what comes after", async () => {
  const shutdown = new AbortController();
  const { post, engine } = startApp({ tokens: [TOKEN.one], hold: "prefill" }, {
    shutdown: shutdown.signal,
    drain: shutdown.signal,
  });
  const body = { prompt: "x", stream: true };
  const response = await post("/v1/completions", body);
  shutdown.abort();
  assert.match(
    await response.text(),
    /^data: \{"error":\{"message":"The server is shutting down".*\n\ndata: \[DONE\]\n\n$/,
  );
  await engine.idle();
  assert.deepEqual(engine.aborts, ["prefill"]);
  assert.equal((await post("/v1/completions", body)).status, 503);
});
