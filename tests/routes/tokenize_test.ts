import assert from "node:assert/strict";
import { byteTokens, TOKEN } from "../support/fake_text.ts";
import { readError, startApp } from "./harness.ts";

const { post, app } = startApp({ tokens: [] });
const reply = async (path: string, body: unknown) => await (await post(path, body)).json();

Deno.test("/tokenize gives vLLM's clients tokens with what goes around texts, llama-server's without", async () => {
  const tokens = byteTokens("é");
  assert.deepEqual(await reply("/tokenize", { prompt: "é" }), {
    count: 3,
    max_model_len: 256,
    tokens: [TOKEN.begin, ...tokens],
  });
  assert.deepEqual((await reply("/tokenize", { content: "é" })).tokens, tokens);
  assert.deepEqual((await reply("/tokenize", { content: "é", add_special: true })).tokens, [TOKEN.begin, ...tokens]);
  assert.deepEqual((await reply("/tokenize", { prompt: "é", add_special_tokens: false })).tokens, tokens);
});

Deno.test("/tokenize shows the text of each token if asked", async () => {
  const { token_strs } = await reply("/tokenize", { content: "aé", return_token_strs: true });
  assert.deepEqual(token_strs, ["a", "bytes:\\xc3", "bytes:\\xa9"]);
  assert.deepEqual((await reply("/tokenize", { content: "a", with_pieces: true })).tokens, [{ id: 97, piece: "a" }]);
});

Deno.test("/detokenize gives the text of tokens, special ones too", async () => {
  const text = "</s>Hello 世";
  const body = { tokens: [TOKEN.end, TOKEN.hello, ...byteTokens(" 世")] };
  assert.deepEqual(await reply("/detokenize", body), { prompt: text, content: text });
});

for (
  const [path, body, param] of [
    ["/tokenize", {}, "prompt"],
    ["/tokenize", { prompt: "a", content: "a" }, "prompt"],
    ["/detokenize", { tokens: ["a"] }, "tokens"],
    ["/detokenize", { tokens: [300] }, "tokens"],
  ] as const
) {
  Deno.test(`${path} refuses ${JSON.stringify(body).slice(0, 40)}`, async () => {
    const { status, param: named } = await readError(await post(path, body));
    assert.deepEqual([status, named], [400, param]);
  });
}

Deno.test("/version tells the version of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assert.deepEqual(await (await app.request("/version")).json(), { version });
});
