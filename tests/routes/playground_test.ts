import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { keys, startApp, withServer } from "./harness.ts";

Deno.test("GET / is a page that runs its own script and style alone, and talks to this server alone", async () => {
  const { app } = startApp({ tokens: [] });
  const response = await app.request("/");
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/html; charset=utf-8$/i);
  const page = await response.text();
  const policy = new Map(
    response.headers.get("content-security-policy")!.split("; ").map((directive) => {
      const [name, ...sources] = directive.split(" ");
      return [name, sources];
    }),
  );
  const hashOf = (element: string) => {
    const found = [...page.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, "g"))];
    assert.equal(found.length, 1, element);
    return `'sha256-${createHash("sha256").update(found[0][1]).digest("base64")}'`;
  };
  assert.deepEqual(policy.get("default-src"), ["'none'"]);
  assert.deepEqual(policy.get("script-src"), [hashOf("script")]);
  assert.deepEqual(policy.get("style-src"), [hashOf("style")]);
  assert.deepEqual(policy.get("connect-src"), ["'self'"]);
  for (const name of ["base-uri", "form-action", "frame-ancestors"]) {
    assert.deepEqual(policy.get(name), ["'none'"], name);
  }
  assert.equal(response.headers.get("referrer-policy"), "no-referrer");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  // The page's own markup: no scripts, styles or pictures of others, and no handlers in attributes.
  const markup = page.replace(/<(script|style)>[^]*?<\/\1>/g, "");
  assert.doesNotMatch(markup, /\bsrc=|https?:|\son\w+=|\sstyle=/);
});

Deno.test("the page is sent without a key, and what it asks for is not", async () => {
  const { app } = startApp({ tokens: [] }, { apiKeys: keys("key") });
  assert.equal((await app.request("/")).status, 200);
  assert.equal((await app.request("/v1/kv/policies")).status, 401);
  assert.equal((await app.request("/", { method: "HEAD" })).status, 200);
  assert.equal((await startApp({ tokens: [] }).app.request("/", { method: "POST" })).status, 405);
});

Deno.test("the page's requests are of the server's own origin, by an address or by a name that is its own", async () => {
  const started = startApp({ tokens: [] }, { allowedHosts: ["*", "ebb.example"] });
  const status = async (host: string, origin: string) =>
    (await started.app.request(`http://${host}/tokenize`, {
      method: "POST",
      body: '{ "prompt": "1" }',
      headers: { origin },
    })).status;
  assert.equal(await status("127.0.0.1:8000", "http://127.0.0.1:8000"), 200);
  assert.equal(await status("localhost:8000", "http://localhost:8000"), 200);
  assert.equal(await status("[::1]:8000", "http://[::1]:8000"), 200);
  // Behind a proxy that ends TLS.
  assert.equal(await status("ebb.example", "https://ebb.example"), 200);
  // Another port is another's page; and so may be one under a name that leads here.
  assert.equal(await status("localhost:8000", "http://localhost:3000"), 403);
  assert.equal(await status("rebound.example:8000", "http://rebound.example:8000"), 403);
  assert.equal(await status("localhost:8000", "null"), 403);
});

Deno.test("the page is there behind a socket too", async () => {
  await withServer(startApp({ tokens: [] }), async (url) => {
    const page = await (await fetch(url)).text();
    assert.match(page, /^<!DOCTYPE html>\n<html lang="en">/);
    assert.match(page, /<\/html>\n$/);
  });
});
