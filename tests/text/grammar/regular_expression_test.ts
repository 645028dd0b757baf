import assert from "node:assert/strict";
import { seededRandom } from "../../../fixtures/random.ts";
import { UnsupportedGrammarError } from "../../../src/text/grammar/unsupported.ts";
import { compile, walk } from "../../support/grammar_walk.ts";
import { choiceGrammar, JSON_OBJECT_GRAMMAR, patternGrammar } from "../../support/grammars.ts";

const decoder = new TextDecoder();
async function* walks(source: string, count = 20): AsyncGenerator<string> {
  const random = seededRandom(6);
  const grammar = await compile(source);
  for (let i = 0; i < count; i++) yield decoder.decode(await walk(grammar, random, 40));
  grammar.dispose();
}

Deno.test("texts of a regular expression's grammar are matched by it from end to end", async () => {
  const sources = [
    "abc",
    "^a|b$",
    "(?:ab)*c",
    "([A-Z]{2,3})-(\\d+)",
    '[^a-z"\\\\]{3}',
    "\\w+\\s\\W\\D",
    "a{0}b?c+?d{2,}",
    "\\x41\\u00e9[\\u{1F600}é]*\\t",
    "[\\d_.-]+@\\S",
    "(a(b(c|d)|e)|f){1,4}",
    "(?:(?:ab)*)*c",
    "\\/\\.\\[\\]\\{\\}\\^\\$\\|\\(\\)",
  ];
  for (const source of sources) {
    const whole = new RegExp(`^(?:${source.replace(/^\^|\$$/g, "")})$`, source.includes("u{") ? "u" : "");
    for await (const text of walks(patternGrammar(source))) assert.match(text, whole, source);
  }
});

Deno.test("what no grammar can express is named", () => {
  const refused = [
    "(?=a)a",
    "(?<!a)b",
    "(a)\\1",
    "\\bword",
    "a^b",
    "(",
    "[z-a]",
    "a{70000}",
    "((a{60}){60}){60}",
    "(a*b*)*",
    "(a|)+",
    "\\p{L}",
    "[à-ÿĀ-ſƀ-ɏɐ-ʯ]",
  ];
  for (const source of refused) assert.throws(() => patternGrammar(source), UnsupportedGrammarError, source);
});

Deno.test("choices are texts as they are, and objects are objects", async () => {
  const options = ["plain", 'with "quotes"', "back\\slash\nand line", "日本", "😀", ""];
  const seen = new Set<string>();
  for await (const text of walks(choiceGrammar(options), 60)) seen.add(text);
  for (const text of seen) assert.ok(options.includes(text), text);
  assert.ok(seen.size > 3);
  for await (const text of walks(JSON_OBJECT_GRAMMAR)) {
    assert.equal(Object.getPrototypeOf(JSON.parse(text)), Object.prototype);
  }
});
