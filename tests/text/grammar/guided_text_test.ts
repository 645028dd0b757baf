import assert from "node:assert/strict";
import { seededRandom } from "../../../fixtures/random.ts";
import { compile, guidedWalk, WALK_TOKENS } from "../../support/grammar_walk.ts";
import { CallReader } from "../../../src/text/tool_calls/call_reader.ts";
import { callsGrammar } from "../../../src/text/tool_calls/calls_grammar.ts";
import { toolCallFormat } from "../../../src/text/tool_calls/formats.ts";
import { choiceGrammar, JSON_OBJECT_GRAMMAR, schemaGrammar } from "../../support/grammars.ts";

const decoder = new TextDecoder();
const NODE = {
  type: "object",
  properties: { value: { type: "integer" }, next: { anyOf: [{ $ref: "#" }, { type: "null" }] } },
  required: ["value", "next"],
};
const MATRIX = { type: "array", items: { type: "array", items: { type: "string" } } };
const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 12 },
    mail: { type: "string", format: "email" },
    born: { type: "string", format: "date" },
    friends: { type: "array", items: { type: "object", properties: { name: { type: "string" } }, required: ["name"] } },
  },
  required: ["name", "mail", "born", "friends"],
};
/** Each row makes the way to the end longer by some forty bytes at once. */
const TABLE = {
  type: "array",
  items: {
    type: "object",
    properties: { first: { type: "string" }, second: { type: "integer" }, third: { type: "boolean" }, fourth: {} },
    required: ["first", "second", "third", "fourth"],
  },
};

Deno.test("a text comes to its end with the tokens that it has, whatever is drawn", async () => {
  const random = seededRandom(8);
  for (const schema of [NODE, MATRIX, PERSON, TABLE, { type: "object" }, { type: "string" }]) {
    const grammar = await compile(schemaGrammar(schema));
    for (let i = 0; i < 15; i++) {
      const remaining = 100 + Math.floor(random() * 80);
      // Mostly what leads further away from the end.
      const opening = random() < 0.5 ? /^["[{,]|[[{]$/ : /^[a-z0-9]/;
      const { bytes, tokens } = await guidedWalk(grammar, remaining, (allowed) => {
        const away = allowed.filter((token) =>
          token < WALK_TOKENS.length && opening.test(decoder.decode(WALK_TOKENS[token]))
        );
        const pool = away.length > 0 && random() < 0.7 ? away : allowed;
        return pool[Math.floor(random() * pool.length)];
      });
      assert.ok(tokens <= remaining);
      const text = decoder.decode(bytes);
      assert.doesNotThrow(() => JSON.parse(text), `${remaining} tokens: ${text}`);
    }
    grammar.dispose();
  }
});

Deno.test("calls come to their end, in forms in which a new one begins unnoticed, too", async () => {
  const random = seededRandom(9);
  const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  for (const template of ["<tool_call>", "[TOOL_CALLS]", "Environment: ipython"]) {
    const format = toolCallFormat(template);
    const grammar = await compile(callsGrammar(format, [{ name: "add", parameters }], { several: true, lead: "" }));
    for (let i = 0; i < 15; i++) {
      const { bytes, tokens } = await guidedWalk(grammar, 90 + Math.floor(random() * 200), (allowed) => {
        // Never the end, where there is something else.
        const pool = allowed.filter((token) => token < WALK_TOKENS.length);
        return (pool.length > 0 ? pool : allowed)[Math.floor(random() * (pool.length || allowed.length))];
      });
      const text = decoder.decode(bytes);
      const reader = new CallReader(format, new Set(["add"]), true);
      const parts = [...reader.push(text), ...reader.flush()];
      assert.ok(parts.every(({ type }) => type === "call"), `${tokens} tokens: ${text}`);
      assert.ok(parts.length > 0);
    }
    grammar.dispose();
  }
});

Deno.test("a text with room enough is left alone", async () => {
  const grammar = await compile(choiceGrammar(["a long text", "another text"]));
  const picks: number[] = [];
  const { bytes, replaced } = await guidedWalk(grammar, 200, (allowed) => {
    picks.push(allowed.length);
    return allowed[0];
  });
  assert.ok(decoder.decode(bytes).startsWith("a"));
  assert.equal(replaced, 0);
  assert.ok(Math.max(...picks) > 1);
  grammar.dispose();
});

Deno.test("a text without room enough goes as far as it can", async () => {
  const grammar = await compile(schemaGrammar(PERSON));
  const { tokens } = await guidedWalk(grammar, 5, (allowed) => allowed[0]);
  assert.equal(tokens, 5);
  const any = await compile(JSON_OBJECT_GRAMMAR);
  const { bytes } = await guidedWalk(any, 2, (allowed) => allowed[0]);
  assert.deepEqual(JSON.parse(decoder.decode(bytes)), {});
});
