import assert from "node:assert/strict";
import { TOKEN } from "../support/fake_text.ts";
import { readError, startApp } from "./harness.ts";
import { choiceGrammar, JSON_OBJECT_GRAMMAR, ownGrammar, patternGrammar, schemaGrammar } from "../support/grammars.ts";

const CHAT = { path: "/v1/chat/completions", body: { messages: [{ role: "user", content: "Hi" }] } };
const COMPLETIONS = { path: "/v1/completions", body: { prompt: "Hi" } };
const SCHEMA = { type: "object", properties: { b: { type: "integer" }, a: { type: "string" } }, required: ["b"] };
const GRAMMAR = 'root ::= "a" root | "b"';
const WORDS = ["yes", "no"];

const FIELDS: readonly [fields: object, grammar: string | undefined][] = [
  [{ response_format: { type: "text" } }, undefined],
  [{ response_format: { type: "json_object" } }, JSON_OBJECT_GRAMMAR],
  [{ response_format: { type: "json_object", schema: SCHEMA } }, schemaGrammar(SCHEMA)],
  [
    { response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema: SCHEMA } } },
    schemaGrammar(SCHEMA),
  ],
  [{ response_format: { type: "json_schema", json_schema: { name: "x" } } }, JSON_OBJECT_GRAMMAR],
  [{ guided_json: SCHEMA }, schemaGrammar(SCHEMA)],
  [{ guided_json: JSON.stringify(SCHEMA) }, schemaGrammar(SCHEMA)],
  [{ guided_regex: "[ab]+" }, patternGrammar("[ab]+")],
  [{ guided_regex: "" }, undefined],
  [{ guided_choice: WORDS }, choiceGrammar(WORDS)],
  [{ guided_choice: [] }, undefined],
  [{ structured_outputs: { json: SCHEMA } }, schemaGrammar(SCHEMA)],
  [{ structured_outputs: { json_object: true } }, JSON_OBJECT_GRAMMAR],
  [{ structured_outputs: { regex: "a|b" } }, patternGrammar("a|b")],
  [{ structured_outputs: { choice: WORDS } }, choiceGrammar(WORDS)],
  [{ structured_outputs: {} }, undefined],
  [{ json_schema: SCHEMA }, schemaGrammar(SCHEMA)],
  [{ regex: "[0-9]" }, patternGrammar("[0-9]")],
  [{ guided_grammar: GRAMMAR }, ownGrammar(GRAMMAR)],
  [{ structured_outputs: { grammar: GRAMMAR } }, ownGrammar(GRAMMAR)],
  [{ grammar: GRAMMAR }, ownGrammar(GRAMMAR)],
  [{ ebnf: GRAMMAR }, ownGrammar(GRAMMAR)],
  [{ guided_grammar: "" }, undefined],
];

for (const [fields, grammar] of FIELDS) {
  Deno.test(`${JSON.stringify(fields).slice(0, 80)} is what the engine is asked for`, async () => {
    for (const { path, body } of [CHAT, COMPLETIONS]) {
      const { post, engine } = startApp({ tokens: [TOKEN.end] });
      const response = await post(path, { ...body, ...fields });
      assert.equal(response.status, 200, await response.clone().text());
      assert.equal(engine.requests[0].grammar, grammar, path);
    }
  });
}

const REFUSED: readonly [fields: object, param: string, message: RegExp][] = [
  [{ response_format: { type: "grammar" } }, "response_format.type", /expected \{"type": "text"\}/],
  [{ response_format: { type: "json_schema" } }, "response_format.json_schema", /expected an object with a schema/],
  [
    { response_format: { type: "json_schema", json_schema: { schema: { properties: { a: { not: {} } } } } } },
    "response_format.json_schema.schema",
    /schema\.properties\.a has not, which cannot be followed/,
  ],
  [{ guided_json: "{" }, "guided_json", /is not valid JSON/],
  [{ guided_json: 7 }, "guided_json", /expected a JSON schema/],
  [{ guided_regex: "(a)\\1" }, "guided_regex", /\\1: a back reference cannot be followed/],
  [{ guided_choice: "yes" }, "guided_choice", /expected an array of texts/],
  [
    { structured_outputs: { grammar: "root ::= x" } },
    "structured_outputs.grammar",
    /^structured_outputs\.grammar cannot be followed: line 1 of the grammar: expected the name of a rule that there is/,
  ],
  [{ guided_grammar: "?" }, "guided_grammar", /^guided_grammar cannot be followed: line 1 .* expected a rule/],
  [{ structured_outputs: { structural_tag: "x" } }, "structured_outputs.structural_tag", /structural tags are not/],
  [{ grammar: 'root ::= "a"', regex: "a" }, "grammar", /^regex and grammar both say what the answer is/],
  [{ guided_json: {}, guided_choice: WORDS }, "guided_choice", /^guided_json and guided_choice both say/],
];

for (const [fields, param, message] of REFUSED) {
  Deno.test(`${JSON.stringify(fields).slice(0, 80)} is refused by name`, async () => {
    for (const { path, body } of [CHAT, COMPLETIONS]) {
      const { post, engine } = startApp({ tokens: [] });
      const error = await readError(await post(path, { ...body, ...fields }));
      assert.deepEqual([error.status, error.param], [400, param], error.message);
      assert.match(error.message, message);
      assert.equal(engine.requests.length, 0);
    }
  });
}
