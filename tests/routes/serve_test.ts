import assert from "node:assert/strict";
import { ListenError, serveHttp } from "../../src/routes/serve.ts";
import { TOKEN } from "../support/fake_text.ts";
import { startApp, until } from "./harness.ts";

function start(behaviour: Parameters<typeof startApp>[0], drainMilliseconds?: number) {
  const drain = new AbortController();
  const shutdown = new AbortController();
  const { app, engine } = startApp(behaviour, { drain: drain.signal, shutdown: shutdown.signal });
  const server = serveHttp(app, { port: 0, drain: drain.signal, shutdown, drainMilliseconds });
  const complete = (fields: object = {}) =>
    fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "x", stream: true, ...fields }),
    });
  return { drain, server, engine, complete };
}

Deno.test("serveHttp() listens on this machine only and reports the port it took", async () => {
  const { drain, server } = start({ tokens: [] });
  assert.equal(server.hostname, "127.0.0.1");
  assert.ok(server.port > 0);
  assert.equal(server.url, `http://127.0.0.1:${server.port}`);
  const response = await fetch(`${server.url}/health`);
  assert.deepEqual(await response.json(), { status: "ok" });
  drain.abort();
  await server.finished;
});

Deno.test("serveHttp() says in words that a port is in use", async () => {
  const { drain, server } = start({ tokens: [] });
  const { app } = startApp({ tokens: [] });
  assert.throws(
    () => serveHttp(app, { port: server.port, drain: drain.signal, shutdown: new AbortController() }),
    (error: Error) =>
      error instanceof ListenError && error.message.startsWith(`Port ${server.port} of 127.0.0.1 is in use;`),
  );
  drain.abort();
  await server.finished;
});

Deno.test("serveHttp() says in words that an address is not this machine's", () => {
  const { app } = startApp({ tokens: [] });
  assert.throws(
    () =>
      serveHttp(app, {
        hostname: "192.0.2.1",
        port: 0,
        drain: new AbortController().signal,
        shutdown: new AbortController(),
      }),
    (error: Error) => error instanceof ListenError && error.message.includes("192.0.2.1"),
  );
});

Deno.test("a drain lets running streams finish", async () => {
  const { drain, server, engine, complete } = start({ tokens: [TOKEN.one, TOKEN.two, TOKEN.end], hold: "decode" });
  const response = await complete();
  drain.abort();
  engine.generations[0].release();
  assert.match(await response.text(), /"text":" two".*data: \[DONE\]\n\n$/s);
  await server.finished;
  await assert.rejects(complete(), TypeError);
});

Deno.test("a drain that takes too long ends streams with an error event", async () => {
  const { drain, server, engine, complete } = start({ tokens: [TOKEN.one], hold: "prefill" }, 10);
  const response = await complete();
  drain.abort();
  assert.match(await response.text(), /"code":"shutting_down".*data: \[DONE\]\n\n$/s);
  await server.finished;
  assert.deepEqual(engine.aborts, ["prefill"]);
});

Deno.test("a request whose body still comes in when a drain begins is told to try again", async () => {
  const { drain, server } = start({ tokens: [TOKEN.end] });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const body = JSON.stringify({ prompt: "x" }).padEnd(3000);
  const head =
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head + body.slice(0, 2000)));
  // The head must have been read.
  await fetch(`${server.url}/health`).then((response) => response.body?.cancel());
  drain.abort();
  let reply = "";
  const decoder = new TextDecoderStream();
  for await (const piece of connection.readable.pipeThrough(decoder)) {
    reply += piece;
    // Deno goes on waiting for the rest of the body.
    if (reply.includes("}")) break;
  }
  assert.match(reply, /^HTTP\/1\.1 503 .*^retry-after: 1\r$.*"code":"shutting_down"/ms);
  await server.finished;
});

Deno.test("a client that neither ends nor leaves does not keep a drain waiting", async () => {
  const { drain, server } = start({ tokens: [TOKEN.end] }, 10);
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await connection.write(
    new TextEncoder().encode("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"),
  );
  // The head must have been read.
  await fetch(`${server.url}/health`).then((response) => response.body?.cancel());
  drain.abort();
  await server.finished;
  connection.close();
});

Deno.test("a slow reader gets everything, and does not hold the engine up", async () => {
  const { drain, server, engine, complete } = start({
    script: () => ({ tokens: Array(5000).fill(TOKEN.one) }),
    model: { contextLength: 6000 },
  });
  const response = await complete({ max_tokens: 5000 });
  // Nothing has been read yet.
  await engine.idle();
  let events = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    events += decoder.decode(chunk, { stream: true }).split('"text":" one"').length - 1;
    if (events % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(events, 5000);
  assert.deepEqual(engine.aborts, []);
  drain.abort();
  await server.finished;
});

Deno.test("a socket that is cut stops the generation, whatever state it is in", async () => {
  for (const phase of ["queue", "prefill", "decode"] as const) {
    for (const stream of [true, false]) {
      const { drain, server, engine } = start({ tokens: [TOKEN.one, TOKEN.two], hold: phase });
      const body = JSON.stringify({ prompt: "x", stream });
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      // With and without a stated length: the application reads the two in different ways.
      const framed = stream
        ? `content-length: ${body.length}\r\n\r\n${body}`
        : `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      await connection.write(new TextEncoder().encode(`POST /v1/completions HTTP/1.1\r\nhost: x\r\n${framed}`));
      await until(() => engine.generations[0]?.phase === phase, phase);
      connection.close();
      await engine.idle();
      assert.deepEqual(engine.aborts, [phase]);
      drain.abort();
      await server.finished;
    }
  }
});
