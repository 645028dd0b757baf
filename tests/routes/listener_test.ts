import assert from "node:assert/strict";
import type { AppOptions, LogEntry } from "../../src/routes/app.ts";
import { listen, ListenError } from "../../src/routes/listener.ts";
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
  assert.equal(new URL(server.url).hostname, "127.0.0.1");
  assert.ok(server.port > 0);
  assert.equal(server.url, `http://127.0.0.1:${server.port}`);
  const response = await fetch(`${server.url}/health`);
  assert.equal((await response.json()).status, "ok");
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
    await until(() => log.length === 1, "an end of the request");
    assert.deepEqual(log.map(({ event, status }) => [event, status]), [["request", 499]], framing);
    drain.abort();
    await server.finished;
  }
});

/** Sends bytes and reads all that comes until the server closes the connection. */
async function exchange(port: number, text: string, { half = false }: { half?: boolean } = {}): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  if (half) await connection.closeWrite();
  return await new Response(connection.readable).text();
}

Deno.test("what is no HTTP request, or none for this server, gets its error as JSON, and the server goes on", async () => {
  const { drain, server } = await start({ tokens: [] });
  for (
    const [text, status, message] of [
      ["GARBAGE\r\n\r\n", 400, "The request is not valid HTTP"],
      ["\x16\x03\x01\x02\x00\x01\x00\x01", 400, "The request is not valid HTTP"],
      ["GET /health HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n", 400, "The request is not valid HTTP"],
      ["INVENTED /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 400, "The request is not valid HTTP"],
      ["GET /health HTTP/1.1\r\nconnection: close\r\n\r\n", 400, "The request has no Host"],
      ["GET /health HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", 400, "The request's method or its host"],
      ["TRACE /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 400, "The request's method or its host"],
      [`GET / HTTP/1.1\r\nhost: x\r\nlong: ${"x".repeat(100_000)}\r\n\r\n`, 431, "The request's head is longer"],
      ["GET /health HTTP/1.1\r\nhost: x\r\nexpect: money\r\n\r\n", 417, 'Expect is "money"; only 100-continue'],
      ["CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n", 405, "This server is no proxy"],
    ] as const
  ) {
    const reply = await exchange(server.port, text);
    const name = JSON.stringify(text.slice(0, 60));
    assert.match(reply, new RegExp(`^HTTP/1\\.1 ${status} `), name);
    assert.match(reply, /^content-type: application\/json/im, name);
    const { error } = JSON.parse(/\{.*\}/s.exec(reply)![0]);
    assert.ok(error.message.startsWith(message), `${name}: ${error.message}`);
    assert.equal(error.type, "invalid_request_error");
  }
  const response = await fetch(`${server.url}/health`);
  assert.equal((await response.json()).status, "ok");
  drain.abort();
  await server.finished;
});

Deno.test("HTTP 1.0 needs no host", async () => {
  const { drain, server } = await start({ tokens: [] });
  assert.match(await exchange(server.port, "GET /health HTTP/1.0\r\n\r\n"), /^HTTP\/1\.[01] 200 .*"status":"ok"/s);
  drain.abort();
  await server.finished;
});

Deno.test("a client that closes its half of the connection gets its reply, streamed or not", async () => {
  for (const stream of [false, true]) {
    const { drain, server, engine } = await start({ tokens: [TOKEN.one, TOKEN.two, TOKEN.end], hold: "prefill" });
    const body = JSON.stringify({ prompt: "x", stream });
    const head = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`;
    const reply = exchange(server.port, head + body, { half: true });
    await until(() => engine.generations[0]?.phase === "prefill", "prefill");
    // Longer than the first pause between two looks at whether the client is still there.
    await new Promise((resolve) => setTimeout(resolve, 150));
    engine.generations[0].release();
    const text = await reply;
    assert.match(text, /HTTP\/1\.1 200 OK/, text);
    assert.match(text, stream ? / two.*data: \[DONE\]/s : /"text":" one two"/, text);
    assert.deepEqual(engine.aborts, []);
    drain.abort();
    await server.finished;
  }
});

Deno.test("a body that trickles is given up, and so is one that goes on behind its reply", async () => {
  const { drain, server } = await start({ tokens: [] }, {
    slowestBody: { bytesPerSecond: 1000, intervalMilliseconds: 200 },
  });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const encoder = new TextEncoder();
  await connection.write(encoder.encode(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{`));
  const trickle = setInterval(() => connection.write(encoder.encode(" ")).catch(() => {}), 50);
  const reply = await new Response(connection.readable).text();
  clearInterval(trickle);
  assert.match(reply, /^HTTP\/1\.1 408 /);
  assert.match(reply, /"message":"The request body came at less than 1000 bytes a second"/);
  assert.match(reply, /"code":"request_too_slow"/);
  drain.abort();
  await server.finished;
});

Deno.test("a body that comes slowly, but not too slowly, is read", async () => {
  const { drain, server } = await start({ tokens: [TOKEN.end] }, {
    slowestBody: { bytesPerSecond: 100, intervalMilliseconds: 200 },
  });
  const body = JSON.stringify({ prompt: "x".repeat(150) });
  const pieces = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      for (let at = 0; at < body.length; at += 20) {
        controller.enqueue(new TextEncoder().encode(body.slice(at, at + 20)));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      controller.close();
    },
  });
  const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body: pieces });
  assert.equal(response.status, 200, await response.text());
  drain.abort();
  await server.finished;
});

Deno.test("an IPv6 address may be given as in URLs", async () => {
  const drain = new AbortController();
  const { app } = startApp({ tokens: [] });
  const server = await listen(app, {
    hostname: "[::1]",
    port: 0,
    drain: drain.signal,
    shutdown: new AbortController(),
  });
  assert.equal(server.url, `http://[::1]:${server.port}`);
  assert.equal((await fetch(`${server.url}/health`).then((response) => response.json())).status, "ok");
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
