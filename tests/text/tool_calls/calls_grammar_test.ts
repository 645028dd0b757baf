import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { seededRandom } from "../../../fixtures/random.ts";
import { schemaRules } from "../../../src/text/grammar/json_schema.ts";
import { UnsupportedGrammarError } from "../../../src/text/grammar/unsupported.ts";
import { CallReader } from "../../../src/text/tool_calls/call_reader.ts";
import {
  callsGrammar,
  callsOrDocumentGrammar,
  callsOrTextGrammar,
  textThenCallsGrammar,
} from "../../../src/text/tool_calls/calls_grammar.ts";
import { toolCallFormat } from "../../../src/text/tool_calls/formats.ts";
import { compile, follow, walk } from "../../support/grammar_walk.ts";

const TEMPLATES = [
  "<tool_call>",
  "Environment: ipython",
  "[TOOL_CALLS][",
  "[TOOL_CALLS] [ARGS]",
  "<|action_start|>",
  "anything",
];
const TOOLS = [
  {
    name: "add",
    parameters: {
      type: "object",
      properties: { a: { $ref: "#/$defs/number" }, b: { $ref: "#/$defs/number" } },
      required: ["a", "b"],
      additionalProperties: false,
      $defs: { number: { type: "integer", minimum: -20, maximum: 300 } },
    },
  },
  { name: 'say "it"', parameters: { properties: { text: { type: "string" } }, required: ["text"] } },
  { name: "stop" },
];
const NAMES = new Set(TOOLS.map(({ name }) => name));

Deno.test("calls under the grammar of any family are read as calls of its tools, with valid arguments", async () => {
  const random = seededRandom(2);
  const decoder = new TextDecoder();
  const isValid = new Map(
    TOOLS.map(({ name, parameters = {} }) => [name, new Ajv2020({ strict: false }).compile(parameters)]),
  );
  for (const template of TEMPLATES) {
    const format = toolCallFormat(template);
    for (const several of [true, false]) {
      for (const begin of [true, false]) {
        const lead = begin ? `${format.begin ?? ""}${format.space}` : "";
        const grammar = await compile(callsGrammar(format, TOOLS, { several, lead }));
        let most = 0;
        for (let i = 0; i < 15; i++) {
          const text = decoder.decode(await walk(grammar, random, 60));
          const reader = new CallReader(format, NAMES, !begin);
          const parts = [...reader.push(text), ...reader.flush()];
          assert.ok(parts.length > 0 && parts.every(({ type }) => type === "call"), `${format.name}: ${text}`);
          for (const part of parts) {
            if (part.type !== "call") continue;
            assert.ok(isValid.get(part.call.name)!(JSON.parse(part.call.arguments)), `${format.name}: ${text}`);
          }
          most = Math.max(most, parts.length);
        }
        if (!several) assert.equal(most, 1, format.name);
        else if (format.isList || format.separator !== null) assert.ok(most > 1, format.name);
        grammar.dispose();
      }
    }
  }
});

Deno.test("where nothing begins a call, an answer is calls with valid arguments, or any other text", async () => {
  const random = seededRandom(3);
  const decoder = new TextDecoder();
  const [add] = TOOLS;
  const isValid = new Ajv2020({ strict: false }).compile(add.parameters!);
  for (const template of ["Environment: ipython", "anything"]) {
    const format = toolCallFormat(template);
    const grammar = await compile(callsOrTextGrammar(format, [add], { several: true }));
    const seen = { call: 0, text: 0 };
    for (const text of [" Hello", "\n\nHello", ""]) {
      assert.deepEqual(await follow(grammar, text), { taken: text.length, mayEnd: true }, "words begin with a space");
    }
    for (const text of [" {}", "\n[7", '{"name": "sub"']) {
      const { taken, mayEnd } = await follow(grammar, text);
      assert.ok(taken < text.length || !mayEnd, text);
    }
    for (let i = 0; i < 40; i++) {
      // Beginnings are drawn rarely enough, so that some are asked for.
      const text = decoder.decode(await walk(grammar, random, 60, i % 2 ? "[{" : ""));
      const reader = new CallReader(format, NAMES);
      for (const part of [...reader.push(text), ...reader.flush()]) {
        seen[part.type]++;
        if (part.type === "call") assert.ok(isValid(JSON.parse(part.call.arguments)), `${format.name}: ${text}`);
        else assert.doesNotMatch(part.text, /^\s*[{[]/);
      }
    }
    assert.ok(seen.call > 3 && seen.text > 3, `${format.name}: ${JSON.stringify(seen)}`);
    grammar.dispose();
  }
});

Deno.test("where what begins a call is no token, any text may come, and behind that text calls with valid arguments only", async () => {
  const random = seededRandom(4);
  const [add] = TOOLS;
  const isValid = new Ajv2020({ strict: false }).compile(add.parameters!);
  // The last one begins like itself in its middle.
  for (const template of ["<tool_call>", "[TOOL_CALLS][", "<|action_start|>"]) {
    const format = toolCallFormat(template);
    const begin = format.begin!;
    const grammar = await compile(textThenCallsGrammar(format, begin, [add], { several: true }));
    const [first] = begin.split(/(?<=.)(?=[<[])/);
    for (let i = 0; i < 200; i++) {
      // Of what may be taken for the beginning, in all ways, and of what cannot.
      const text = Array.from(
        { length: 12 },
        () =>
          random() < 0.6
            ? first.slice(0, Math.floor(random() * first.length))
            : ["é\n", '{"a"', "世", " "][Math.floor(4 * random())],
      )
        .join("");
      if (text.includes(first)) continue;
      const length = new TextEncoder().encode(text).length;
      assert.deepEqual(await follow(grammar, text), { taken: length, mayEnd: true }, text);
      const begun = `${text}${begin}${format.space}`;
      const { taken, mayEnd } = await follow(grammar, `${begun}nonsense`);
      assert.deepEqual([taken, mayEnd], [new TextEncoder().encode(begun).length, false], begun);
      const call = `${format.isList ? "[" : ""}{"name": "add", "${format.argumentsKey}": {"a": 300, "b": 7}}${
        format.isList ? "]" : ""
      }`;
      assert.equal((await follow(grammar, begun + call)).mayEnd, true, call);
      assert.equal((await follow(grammar, begun + call.replace("300", "301"))).mayEnd, false, call);
    }
    for (let i = 0; i < 20; i++) {
      const text = new TextDecoder().decode(await walk(grammar, random, 60, begin[0]));
      const reader = new CallReader(format, NAMES);
      for (const part of [...reader.push(text), ...reader.flush()]) {
        if (part.type === "call") assert.ok(isValid(JSON.parse(part.call.arguments)), text);
        else assert.ok(!part.text.includes(begin), text);
      }
    }
    grammar.dispose();
  }
});

Deno.test("beside a document, an answer is calls with valid arguments, or that", async () => {
  const random = seededRandom(5);
  const [add] = TOOLS;
  const schema = { type: "object", properties: { colour: { enum: ["red", "blue"] } }, required: ["colour"] };
  const isValid = new Ajv2020({ strict: false });
  for (const template of ["<tool_call>", "Environment: ipython", "anything"]) {
    const format = toolCallFormat(template);
    const lead = `${format.begin ?? ""}${format.space}`;
    const rules = schemaRules(schema);
    const grammar = await compile(callsOrDocumentGrammar(format, [add], { several: true, lead }, rules));
    const seen = { call: 0, text: 0 };
    for (let i = 0; i < 40; i++) {
      const text = new TextDecoder().decode(await walk(grammar, random, 60, i % 2 ? "<" : "{"));
      const reader = new CallReader(format, NAMES);
      for (const part of [...reader.push(text), ...reader.flush()]) {
        seen[part.type]++;
        if (part.type === "call") assert.ok(isValid.validate(add.parameters!, JSON.parse(part.call.arguments)), text);
        else assert.ok(isValid.validate(schema, JSON.parse(part.text)), text);
      }
    }
    assert.ok(seen.call > 3 && seen.text > 3, `${format.name}: ${JSON.stringify(seen)}`);
    grammar.dispose();
  }
});

Deno.test("a tool whose arguments cannot be followed is named", () => {
  const grammar = (parameters: unknown) => () =>
    callsGrammar(toolCallFormat("<tool_call>"), [{ name: "odd", parameters }], { several: false, lead: "" });
  assert.throws(grammar({ type: "object", not: {} }), (error) => {
    assert.ok(error instanceof UnsupportedGrammarError);
    return /^the parameters of odd: schema has not/.test(error.message);
  });
  assert.throws(grammar({ type: "string" }), /the parameters of odd: expected the type "object"/);
});
