import assert from "node:assert/strict";
import { keys, readError, startApp } from "./harness.ts";

const { app } = startApp({ tokens: [] }, { apiKeys: keys("key") });
const read = async (path: string) => await app.request(path);

/** Every schema within a document, whatever it is in. */
function* schemasWithin(value: any): Generator<any, void> {
  if (typeof value !== "object" || value === null) return;
  yield value;
  for (const inner of Object.values(value)) yield* schemasWithin(inner);
}

Deno.test("/openapi.json describes every route, and no other", async () => {
  const { openapi, paths } = await (await read("/openapi.json")).json();
  assert.equal(openapi, "3.1.0");
  const described = Object.entries<any>(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  // What describes the API does not describe itself, and one model is one of the models.
  const unlisted = /\/(openapi\.json|docs|v1\/models\/:.*)$/;
  const routed = app.routes.filter(({ method, path }) => method !== "ALL" && !unlisted.test(path))
    .map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(described.sort(), [...new Set(routed)].sort());
});

Deno.test("the schema of a request has its fields with their bounds, and none that are only refused", async () => {
  const { paths } = await (await read("/openapi.json")).json();
  const schemaOf = (path: string) => paths[path].post.requestBody.content["application/json"].schema;
  const chat = schemaOf("/v1/chat/completions");
  assert.deepEqual(chat.required, ["messages"]);
  assert.deepEqual(chat.properties.temperature.anyOf[0], { type: "number", minimum: 0, maximum: 100 });
  assert.deepEqual(chat.properties.messages.items.properties.role.enum.includes("assistant"), true);
  assert.equal(chat.properties.mirostat, undefined);
  assert.equal(chat.additionalProperties, undefined);
  assert.deepEqual(schemaOf("/v1/messages").required.sort(), ["max_tokens", "messages"]);
  assert.deepEqual(schemaOf("/v1/responses").required, ["input"]);
  const forms = schemaOf("/tokenize").anyOf;
  assert.deepEqual(forms.map(({ properties }: any) => ["prompt", "messages"].filter((name) => name in properties)), [
    ["prompt"],
    ["messages"],
  ]);
  for (const schema of schemasWithin(paths)) {
    if (typeof schema.description === "string") assert.doesNotMatch(schema.description, /^expected/);
  }
});

Deno.test("/docs is a page that asks for nothing from elsewhere", async () => {
  const response = await read("/docs");
  assert.match(response.headers.get("content-type")!, /text\/html/);
  const page = await response.text();
  assert.match(page, /<code>POST \/v1\/chat\/completions<\/code>/);
  assert.match(page, /<td><code>temperature<\/code><\/td>\s*<td>number from 0 to 100<\/td>/);
  const tokenize = page.slice(page.indexOf("POST /tokenize"), page.indexOf("POST /detokenize"));
  for (const field of ["prompt", "messages"]) assert.match(tokenize, new RegExp(`<td><code>${field}</code></td>`));
  assert.doesNotMatch(page, /src=|https?:\/\//);
});

Deno.test("the API's description asks for no key; the API does", async () => {
  assert.equal((await read("/openapi.json")).status, 200);
  assert.equal((await readError(await read("/version"))).code, "invalid_api_key");
});
