/** @file docs/api.md names what there is: endpoints, fields, error codes and metrics. */
import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chatRequest } from "../../src/routes/requests/chat_request.ts";
import { completionRequest } from "../../src/routes/requests/completion_request.ts";
import { startApp } from "../routes/harness.ts";
import { readPage } from "../support/pages/pages.ts";

const ROUTES = new URL("../../src/routes/", import.meta.url);
const page = await readPage("docs/api.md");

function assertNamed(name: string): void {
  assert.ok(page.includes(`\`${name}\``) || page.includes(`\`${name} `), `docs/api.md does not name ${name}`);
}

Deno.test("docs/api.md names every field that is honoured or refused", () => {
  for (const schema of [completionRequest, chatRequest]) Object.keys(schema.shape).forEach(assertNamed);
});

Deno.test("docs/api.md names every endpoint", () => {
  const { app } = startApp({ tokens: [] });
  for (const { method, path } of app.routes) {
    if (["GET", "POST"].includes(method)) assertNamed(`${method} ${path.replace(/:id.*/, "ID")}`);
  }
});

Deno.test("docs/api.md names every code of an error", async () => {
  const sources = await Array.fromAsync(glob("**/*.ts", { cwd: fileURLToPath(ROUTES) }));
  assert.ok(sources.length > 20);
  for (const path of sources) {
    const source = await Deno.readTextFile(new URL(path, ROUTES));
    for (const [, code] of source.matchAll(/\bcode: "([a-z_]+)"/g)) {
      // A code of the validator's, not of a reply's.
      if (code !== "custom") assertNamed(code);
    }
  }
});

Deno.test("docs/api.md names every metric", async () => {
  const { app } = startApp({ tokens: [] });
  const text = await (await app.request("/metrics")).text();
  const names = [...text.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name);
  assert.ok(names.length > 20);
  // vLLM's names are those of vLLM's own pages.
  names.filter((name) => !name.startsWith("vllm:")).forEach(assertNamed);
});
