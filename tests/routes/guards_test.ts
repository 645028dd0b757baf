import assert from "node:assert/strict";
import { listen } from "../../src/routes/listener.ts";
import type { AppOptions } from "../../src/routes/app.ts";
import { TOKEN } from "../support/fake_text.ts";
import { startApp } from "./harness.ts";

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
  apiKeys: ["key"],
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
  apiKeys: ["key"],
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
