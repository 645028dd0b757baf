import assert from "node:assert/strict";
import { listen, ListenError } from "../../src/routes/listener.ts";
import type { AppOptions, LogEntry } from "../../src/routes/app.ts";
import { TOKEN } from "../support/fake_text.ts";
import { startApp, until } from "./harness.ts";

async function start(
  behaviour: Parameters<typeof startApp>[0],
  { drainMilliseconds, ...options }: Partial<AppOptions> & { drainMilliseconds?: number } = {},
) {
  const drain = new AbortController();
  const shutdown = new AbortController();
  const { app, engine } = startApp(behaviour, { drain: drain.signal, shutdown: shutdown.signal, ...options });
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown, drainMilliseconds });
  const complete = (fields: object = {}) =>
    fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "x", stream: true, ...fields }),
    });
  return { drain, shutdown, server, engine, complete };
}

Deno.test("listen() listens on this machine only and reports the port it took", async () => {
  const { drain, server } = await start({ tokens: [] });
  assert.equal(server.hostname, "127.0.0.1");
  assert.ok(server.port > 0);
  assert.equal(server.url, `http://127.0.0.1:${server.port}`);
  const response = await fetch(`${server.url}/health`);
  assert.deepEqual(await response.json(), { status: "ok" });
  drain.abort();
  await server.finished;
});

Deno.test("listen() says in words that a port is in use", async () => {
  const { drain, server } = await start({ tokens: [] });
  const { app } = startApp({ tokens: [] });
  await assert.rejects(
    () => listen(app, { port: server.port, drain: drain.signal, shutdown: new AbortController() }),
    (error: Error) =>
      error instanceof ListenError && error.message.startsWith(`Port ${server.port} of 127.0.0.1 is in use;`),
  );
  drain.abort();
  await server.finished;
});

Deno.test("listen() says in words that an address is not this machine's", async () => {
  const { app } = startApp({ tokens: [] });
  await assert.rejects(
    () =>
      listen(app, {
        hostname: "192.0.2.1",
        port: 0,
        drain: new AbortController().signal,
        shutdown: new AbortController(),
      }),
    (error: Error) => error instanceof ListenError && error.message.includes("192.0.2.1"),
  );
});

Deno.test("a drain lets running streams finish", async () => {
  const { drain, server, engine, complete } = await start({
    tokens: [TOKEN.one, TOKEN.two, TOKEN.end],
    hold: "decode",
  });
  const response = await complete();
  drain.abort();
  engine.generations[0].release();
  assert.match(await response.text(), /"text":" two".*data: \[DONE\]\n\n$/s);
  await server.finished;
  await assert.rejects(complete(), TypeError);
});

Deno.test("a drain that takes too long ends streams with an error event", async () => {
  const { drain, server, engine, complete } = await start({ tokens: [TOKEN.one], hold: "prefill" }, {
    drainMilliseconds: 10,
  });
  const response = await complete();
  drain.abort();
  assert.match(await response.text(), /"code":"shutting_down".*data: \[DONE\]\n\n$/s);
  await server.finished;
  assert.deepEqual(engine.aborts, ["prefill"]);
});

Deno.test("a request whose body still comes in when a drain begins is told to try again", async () => {
  const { drain, server } = await start({ tokens: [TOKEN.end] });
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
  }
  assert.match(reply, /^HTTP\/1\.1 503 .*^retry-after: 1\r$.*"code":"shutting_down"/ms);
  await server.finished;
});

Deno.test("a client that sends a body too long to its end gets the reply, and may go on", async () => {
  const { drain, server } = await start({ tokens: [] }, { maxBodyBytes: 1000 });
  const encoder = new TextEncoder();
  // More than the buffers of a connection hold.
  const length = 20_000_000;
  const size = length.toString(16);
  for (
    const [framing, before, after] of [
      [`content-length: ${length}`, "", ""],
      ["transfer-encoding: chunked", `${size}\r\n`, "\r\n0\r\n\r\n"],
    ]
  ) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const head = `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${framing}\r\n\r\n${before}`;
    const next = `${after}GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
    const writer = connection.writable.getWriter();
    for (const piece of [encoder.encode(head), new Uint8Array(length), encoder.encode(next)]) await writer.write(piece);
    const replies = await new Response(connection.readable).text();
    assert.match(replies, /^HTTP\/1\.1 413 .*"code":"request_too_large".*HTTP\/1\.1 200 /ms, framing);
  }
  drain.abort();
  await server.finished;
});

Deno.test("a client that neither ends nor leaves does not keep a drain waiting", async () => {
  const { drain, server } = await start({ tokens: [TOKEN.end] }, { drainMilliseconds: 10 });
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

Deno.test("a drain does not wait for connections on which no request runs", async () => {
  for (const sent of ["", "GET /health HT", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"]) {
    const { drain, shutdown, server } = await start({ tokens: [] });
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    if (sent) await connection.write(new TextEncoder().encode(sent));
    // What was sent must have been read.
    await fetch(`${server.url}/health`).then((response) => response.body?.cancel());
    drain.abort();
    await server.finished;
    assert.ok(!shutdown.signal.aborted, `the server waited after ${JSON.stringify(sent)}`);
    connection.close();
  }
});

Deno.test("a slow reader gets everything, and does not hold the engine up", async () => {
  const { drain, server, engine, complete } = await start({
    script: () => ({ tokens: Array(5000).fill(TOKEN.one) }),
    model: { contextLength: 6000 },
  });
  const response = await complete({ max_tokens: 5000 });
  // Nothing has been read yet.
  await engine.idle();
  const pieces: string[] = [];
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    if (pieces.push(piece) % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(pieces.join("").split('"text":" one"').length - 1, 5000);
  assert.deepEqual(engine.aborts, []);
  drain.abort();
  await server.finished;
});

Deno.test("a client that goes before its prompt has come in full is no error of the server", async () => {
  for (const framing of ["content-length: 3000", "transfer-encoding: chunked"]) {
    const log: LogEntry[] = [];
    const { drain, server } = await start({ tokens: [] }, { log: (entry) => log.push(entry) });
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const body = `5dc\r\n${"x".repeat(1500)}`;
    await connection.write(
      new TextEncoder().encode(`POST /v1/completions HTTP/1.1\r\nhost: x\r\n${framing}\r\n\r\n${body}`),
    );
    // The head must have been read.
    await fetch(`${server.url}/health`).then((response) => response.body?.cancel());
    connection.close();
    await until(() => log.length === 2, "an end of the request");
    assert.deepEqual(log.map(({ event, status }) => [event, status]), [["request", 200], ["request", 499]], framing);
    drain.abort();
    await server.finished;
  }
});

Deno.test("what is no HTTP request gets a 400, and the server goes on", async () => {
  const { drain, server } = await start({ tokens: [] });
  const described = /^HTTP\/1\.1 400 .*\{"error":\{"message":"The request's method or its host cannot be taken"/s;
  for (
    const [text, reply] of [
      ["GARBAGE\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["\x16\x03\x01\x02\x00\x01\x00\x01", /^HTTP\/1\.1 400 /],
      ["GET /health HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["INVENTED /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["GET /health HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", described],
      ["TRACE /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", described],
    ] as const
  ) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await connection.write(new TextEncoder().encode(text));
    assert.match(await new Response(connection.readable).text(), reply, JSON.stringify(text));
  }
  const response = await fetch(`${server.url}/health`);
  assert.deepEqual(await response.json(), { status: "ok" });
  drain.abort();
  await server.finished;
});

Deno.test("a socket that is cut stops the generation, whatever state it is in", async () => {
  for (const phase of ["queue", "prefill", "decode"] as const) {
    for (const stream of [true, false]) {
      // In one packet with the head, in some, and in more than a socket's buffers hold.
      for (const length of [1, 2000, 300_000]) {
        for (const chunked of [true, false]) await cutSocket({ phase, stream, length, chunked });
      }
    }
  }
});

/** Cuts the socket of a request in a phase of its generation. */
async function cutSocket({ phase, stream, length, chunked }: {
  phase: "queue" | "prefill" | "decode";
  stream: boolean;
  /** Characters of the prompt. */
  length: number;
  /** Whether the request leaves out its length: the application reads the two in different ways. */
  chunked: boolean;
}): Promise<void> {
  const { drain, server, engine } = await start({
    script: () => ({ tokens: [TOKEN.one, TOKEN.two], hold: phase }),
    model: { contextLength: 2 * length + 100 },
  });
  const body = JSON.stringify({ prompt: "x".repeat(length), stream });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const framed = chunked
    ? `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    : `content-length: ${body.length}\r\n\r\n${body}`;
  const writer = connection.writable.getWriter();
  await writer.write(new TextEncoder().encode(`POST /v1/completions HTTP/1.1\r\nhost: x\r\n${framed}`));
  await until(() => engine.generations[0]?.phase === phase, phase);
  connection.close();
  await engine.idle();
  assert.deepEqual(engine.aborts, [phase], `${length} characters, stream: ${stream}, chunked: ${chunked}`);
  drain.abort();
  await server.finished;
}
