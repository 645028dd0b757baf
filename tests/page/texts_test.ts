/** What the page makes of texts: where answers part, tokens that are parts of characters, metrics, keys. */
import assert from "node:assert/strict";
import { tabAfter, tokenAfter } from "../../src/page/keys.ts";
import { rate, type Reading, readMetrics } from "../../src/page/metrics_text.ts";
import { commonLength, partingSentence } from "../../src/page/parting.ts";
import { directionOf, readableTokens } from "../../src/page/token_texts.ts";
import { startApp } from "../routes/harness.ts";

Deno.test("answers part behind the last whole word that they have in common", () => {
  const common = (a: string, b: string) => a.slice(0, commonLength(a, b));
  assert.equal(common("The lamp is 48213.", "The lamp is 48290."), "The lamp is ");
  assert.equal(common("The lamp is", "The lamp is red"), "The lamp is");
  assert.equal(common("The lamp is re", "The lamp is red"), "The lamp is ");
  assert.equal(common("A", "B"), "");
  assert.equal(common("same", "same"), "same");
  // Never within a character of two UTF-16 units.
  assert.equal(common("go 😀", "go 😁"), "go ");
  assert.equal(partingSentence("same", "same"), "Both answers are the same.");
  assert.equal(partingSentence("The lamp is on", "The lamp is off"), "The answers part after 3 words.");
  assert.equal(partingSentence("One two", "One three"), "The answers part after 1 word.");
  assert.equal(partingSentence("Yes", "No"), "The answers differ from the first word.");
});

Deno.test("readableTokens() puts characters together that several tokens make up", () => {
  // U+0645 is d9 85 in UTF-8, U+1F600 is f0 9f 98 80.
  assert.deepEqual(readableTokens(["a", "bytes:\\xd9", "bytes:\\x85", "b"]), ["a", "", "م", "b"]);
  assert.deepEqual(readableTokens(["bytes:\\xf0\\x9f", "bytes:\\x98", "bytes:\\x80"]), ["", "", "😀"]);
  assert.deepEqual(readableTokens(["bytes:\\xd9", "x"]), ["\ufffd", "x"]);
  assert.deepEqual(readableTokens(["bytes:\\xd9\\x85\\xd9", "bytes:\\x85"]), ["م", "م"]);
  assert.deepEqual(readableTokens(["bytes: none", "\ufeff"]), ["bytes: none", "\ufeff"]);
});

Deno.test("directionOf() asks most letters of a prompt, not those of its template", () => {
  assert.equal(directionOf(["<s>", "<|user|>", " The", " fox"]), "ltr");
  assert.equal(directionOf(["<|im_start|>", "user", "\n", "כמה הוא שתיים ועוד שתיים בבקשה"]), "rtl");
  assert.equal(directionOf(["مر", "حبا", " 12"]), "rtl");
  assert.equal(directionOf(["12", " 🙂"]), "ltr");
  assert.equal(directionOf(["The word مرحبا means hello"]), "ltr");
});

Deno.test("readMetrics() finds what the page shows in what the server tells", async () => {
  const { app } = startApp({ tokens: [] });
  const reading = readMetrics(await (await app.request("/metrics")).text(), "fake-model", 5);
  // As the fake engine has them.
  assert.deepEqual(reading, {
    time: 5,
    running: 2,
    waiting: 3,
    promptTokens: 110,
    generatedTokens: 45,
    blocks: 100,
    blocksUsedPerLayer: [10, 15],
  });
  const half = 'ebb_kv_blocks{model_name="fake-model"} 100';
  assert.throws(() => readMetrics(half, "fake-model", 0), /has no ebb_num_requests_running/);
});

Deno.test("readMetrics() takes each model's own", async () => {
  const { app } = startApp({ tokens: [] });
  const own = await (await app.request("/metrics")).text();
  const other = own.replaceAll("fake-model", "other-model").replaceAll(/ \d+$/gm, " 1");
  assert.equal(readMetrics(other + own, "fake-model", 0)?.waiting, 3);
  assert.equal(readMetrics(other + own, "other-model", 0)?.waiting, 1);
  assert.equal(readMetrics(other, "fake-model", 0), null, "of a model that has not been loaded nothing is told");
});

Deno.test("rate() is in tokens a second, and 0 where there is nothing to compare", () => {
  const at = (time: number, generatedTokens: number) => ({ time, generatedTokens }) as Reading;
  assert.equal(rate([at(0, 10), at(500, 15), at(2000, 30)], "generatedTokens"), 10);
  assert.equal(rate([at(0, 10)], "generatedTokens"), 0);
  assert.equal(rate([], "generatedTokens"), 0);
  assert.equal(rate([at(0, 10), at(1000, 0)], "generatedTokens"), 0, "the server was started anew");
});

Deno.test("keys lead from tab to tab, around the end, and from kept token to kept token", () => {
  assert.deepEqual(["ArrowRight", "ArrowLeft", "Home", "End", "a"].map((key) => tabAfter(key, 2, 3)), [
    0,
    1,
    0,
    2,
    null,
  ]);
  const shares = [0, 1, 0, 0.5, 0];
  const from = (at: number | null) =>
    ["ArrowRight", "ArrowLeft", "Home", "End", "Tab"].map((key) => tokenAfter(key, at, shares));
  assert.deepEqual(from(null), [1, 3, 1, 3, null]);
  assert.deepEqual(from(1), [3, 1, 1, 3, null]);
  assert.deepEqual(from(2), [3, 1, 1, 3, null]);
  assert.deepEqual(from(3), [3, 1, 1, 3, null]);
  assert.equal(tokenAfter("ArrowRight", null, [0, 0]), null);
});
