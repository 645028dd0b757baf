import assert from "node:assert/strict";
import type { AppOptions } from "../../src/routes/app.ts";
import { listen } from "../../src/routes/listener.ts";
import { TOKEN } from "../support/fake_text.ts";
import { keys, startApp } from "./harness.ts";

const ORIGIN = "https://example.org";

/** Runs a test against a server; its requests come from a page of {@link ORIGIN}. */
function withServer(
  name: string,
  options: Partial<AppOptions>,
  body: (request: (method: string, path: string, init?: RequestInit) => Promise<Response>) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const drain = new AbortController();
    const { app } = startApp({ tokens: [TOKEN.one, TOKEN.end] }, options);
    const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
    try {
      await body((method, path, { headers, ...init } = {}) =>
        fetch(server.url + path, { method, headers: { origin: ORIGIN, ...headers as Record<string, string> }, ...init })
      );
    } finally {
      drain.abort();
      await server.finished;
    }
  });
}

/** What a browser goes by, of a reply that is read to its end. */
async function permission(reply: Promise<Response>) {
  const response = await reply;
  await response.text();
  return [response.status, response.headers.get("access-control-allow-origin")];
}

const prompt = (fields: object = {}) => ({ body: JSON.stringify({ prompt: "x", ...fields }) });

withServer("without allowed origins no reply has a header for them", {}, async (request) => {
  const preflight = { headers: { "access-control-request-method": "POST" } };
  for (const reply of [request("GET", "/v1/models"), request("OPTIONS", "/v1/completions", preflight)]) {
    const response = await reply;
    await response.text();
    assert.deepEqual([...response.headers.keys()].filter((name) => /^access-control-|^vary$/.test(name)), []);
  }
});

const key = { headers: { authorization: "Bearer key" } };

withServer("a preflight needs no key and allows the method and the headers that are asked for", {
  allowedOrigins: [ORIGIN],
  apiKeys: keys("key"),
}, async (request) => {
  const response = await request("OPTIONS", "/v1/chat/completions", {
    headers: {
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    },
  });
  assert.equal(response.status, 204);
  assert.equal(await response.text(), "");
  assert.equal(response.headers.get("access-control-allow-origin"), ORIGIN);
  assert.match(response.headers.get("access-control-allow-methods") ?? "", /\bPOST\b/);
  assert.equal(response.headers.get("access-control-allow-headers"), "authorization,content-type,x-stainless-lang");
});

withServer("every reply may be read by an allowed origin: plain, streams and errors", {
  allowedOrigins: ["http://localhost:3000", ORIGIN],
  apiKeys: keys("key"),
}, async (request) => {
  const post = (fields: object) => permission(request("POST", "/v1/completions", { ...key, ...prompt(fields) }));
  assert.deepEqual(await post({}), [200, ORIGIN]);
  assert.deepEqual(await post({ stream: true }), [200, ORIGIN]);
  assert.deepEqual(await post({ temperature: -1 }), [400, ORIGIN]);
  assert.deepEqual(await permission(request("GET", "/v1/models")), [401, ORIGIN]);
  assert.deepEqual(await permission(request("GET", "/nothing", key)), [404, ORIGIN]);
  assert.deepEqual(await permission(request("PUT", "/v1/models", key)), [405, ORIGIN]);
  const health = await request("GET", "/health");
  assert.equal((await health.json()).status, "ok");
  assert.match(health.headers.get("access-control-expose-headers") ?? "", /\bx-request-id\b/);
  assert.ok(health.headers.has("x-request-id"));
  // A cache must not hand one origin's reply to another.
  assert.equal(health.headers.get("vary"), "Origin");
});

withServer("other origins are refused, and may not read why", {
  allowedOrigins: ["https://example.com", "http://example.org"],
}, async (request) => {
  assert.deepEqual(await permission(request("POST", "/v1/completions", prompt())), [403, null]);
  assert.deepEqual(await permission(request("OPTIONS", "/v1/completions")), [403, null]);
  assert.deepEqual(await permission(request("GET", "/health")), [403, null]);
});

withServer("a star allows every origin", { allowedOrigins: ["https://example.com", "*"] }, async (request) => {
  assert.deepEqual(await permission(request("POST", "/v1/completions", prompt())), [200, "*"]);
});

withServer(
  "without allowed origins no page may send anything, not even what needs no preflight",
  {},
  async (request) => {
    const headers = { "content-type": "text/plain" };
    const response = await request("POST", "/v1/completions", { headers, ...prompt() });
    assert.equal(response.status, 403);
    const { error } = await response.json();
    assert.deepEqual([error.type, error.code], ["permission_error", "origin_not_allowed"]);
    assert.match(
      error.message,
      /^Web pages of https:\/\/example\.org may not call this server; allow them with --allowed-o/,
    );
  },
);

/** Sends bytes and reads all that comes until the server closes the connection. */
async function exchange(port: number, text: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  return await new Response(connection.readable).text();
}

Deno.test("a page that may not call is refused before its body has come", async () => {
  const drain = new AbortController();
  const { app, engine } = startApp({ tokens: [] });
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const head = `POST /v1/completions HTTP/1.1\r\nhost: x\r\norigin: null\r\ncontent-length: 1000\r\n\r\n{`;
  await connection.write(new TextEncoder().encode(head));
  const buffer = new Uint8Array(1000);
  const length = await connection.read(buffer);
  assert.match(new TextDecoder().decode(buffer.subarray(0, length!)), /^HTTP\/1\.1 403 /);
  connection.close();
  assert.equal(engine.generations.length, 0);
  drain.abort();
  await server.finished;
});

Deno.test("a server answers to its address, to names of loopback and to names that were allowed", async () => {
  const CASES: readonly [allowedHosts: string[], host: string, status: number][] = [
    [["127.0.0.1"], "127.0.0.1:8000", 200],
    [["127.0.0.1"], "localhost", 200],
    [["127.0.0.1"], "LOCALHOST:1234", 200],
    [["127.0.0.1"], "ebb.localhost:1234", 200],
    [["127.0.0.1"], "127.9.9.9", 200],
    [["127.0.0.1"], "[::1]:80", 200],
    [["127.0.0.1"], "evil.example", 403],
    [["127.0.0.1"], "evil.example:8000", 403],
    [["127.0.0.1"], "localhost.evil.example", 403],
    [["127.0.0.1"], "127.0.0.1.evil.example", 403],
    [["127.0.0.1"], "192.168.1.5", 403],
    [["192.168.1.5"], "192.168.1.5:8000", 200],
    [["0.0.0.0"], "192.168.1.5:8000", 200],
    [["::"], "[fd00::5]:8000", 200],
    [["0.0.0.0"], "evil.example", 403],
    [["127.0.0.1", "Ebb.example"], "ebb.EXAMPLE:443", 200],
    [["127.0.0.1", "ebb.example"], "ebb.example.", 200],
    [["127.0.0.1", "ebb.example"], "www.ebb.example", 403],
    [["127.0.0.1", "*"], "evil.example", 200],
  ];
  for (const [allowedHosts, host, status] of CASES) {
    const drain = new AbortController();
    const { app } = startApp({ tokens: [] }, { allowedHosts });
    const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
    const reply = await exchange(server.port, `GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    assert.match(reply, new RegExp(`^HTTP/1\\.1 ${status} `), `${allowedHosts} ${host}`);
    if (status === 403) assert.match(reply, /"code":"host_not_allowed"/);
    drain.abort();
    await server.finished;
  }
});
