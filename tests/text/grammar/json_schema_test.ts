import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { seededRandom } from "../../../fixtures/random.ts";
import { UnsupportedGrammarError } from "../../../src/text/grammar/unsupported.ts";
import { compile, walk } from "../../support/grammar_walk.ts";
import { schemaGrammar } from "../../support/grammars.ts";

/** Of which every document has to be valid. */
const FOLLOWED: readonly (readonly [name: string, schema: unknown])[] = [
  ["an object", {
    "type": "object",
    "properties": { "a": { "type": "string" }, "b": { "type": "integer" }, "c": { "type": "boolean" } },
    "required": ["b"],
    "additionalProperties": false,
  }],
  ["optional properties", {
    "type": "object",
    "properties": { "a": { "type": "string" }, "b": { "type": "number" }, "c": { "type": "null" } },
  }],
  ["anything", {}],
  ["true", true],
  ["any object", { "type": "object" }],
  ["further properties", {
    "type": "object",
    "properties": {
      "a": { "type": "integer" },
      "ab": { "type": "integer" },
      "é": { "type": "integer" },
      "": { "type": "integer" },
    },
    "required": ["ab"],
    "additionalProperties": { "type": "string" },
  }],
  ["a dictionary", {
    "type": "object",
    "additionalProperties": { "type": "number" },
    "minProperties": 1,
    "maxProperties": 3,
  }],
  ["a pattern for names", {
    "type": "object",
    "patternProperties": { "^x_[a-z]+$": { "type": "integer" } },
    "additionalProperties": false,
    "properties": { "y": { "type": "string" } },
  }],
  ["lengths", { "type": "string", "minLength": 2, "maxLength": 5 }],
  ["a pattern with escapes", { "type": "string", "pattern": '^[A-Z]{2}-\\d{3,}"?[\\\\/\\n]$' }],
  ["a pattern without anchors", { "type": "string", "pattern": "a.b|c+?d" }],
  ["int1", { "type": "integer", "minimum": 3, "maximum": 17 }],
  ["int2", { "type": "integer", "minimum": -105, "maximum": 1207 }],
  ["int3", { "type": "integer", "exclusiveMinimum": -1 }],
  ["int4", { "type": "integer", "maximum": -12 }],
  ["int5", { "type": "integer", "minimum": 2.5, "maximum": 3.5 }],
  ["n1", { "type": "number", "minimum": 0, "maximum": 1 }],
  ["n2", { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }],
  ["n3", { "type": "number", "minimum": -2.75, "maximum": 13.125 }],
  ["n4", { "type": "number", "exclusiveMinimum": 0.1, "maximum": 0.3 }],
  ["n5", { "type": "number", "exclusiveMaximum": 0 }],
  ["n6", { "type": "number", "minimum": 1000000000000.0 }],
  ["n7", { "type": "number", "minimum": 0.30000000000000004, "maximum": 0.4 }],
  ["n8", { "type": "number", "exclusiveMinimum": 5, "exclusiveMaximum": 6 }],
  ["num", { "type": "number" }],
  ["mult", { "type": "number", "multipleOf": 1 }],
  ["arr", { "type": "array", "items": { "type": "integer" }, "minItems": 2, "maxItems": 4 }],
  ["tup", { "type": "array", "prefixItems": [{ "type": "string" }, { "type": "integer" }], "items": false }],
  ["tup2", {
    "type": "array",
    "prefixItems": [{ "type": "string" }, { "type": "integer" }],
    "minItems": 3,
    "items": { "type": "boolean" },
  }],
  ["enum", { "enum": ["red", 'gr"een', 3, null, { "a": [1, 2] }] }],
  ["const", { "const": { "k": "v" } }],
  ["anyof", {
    "anyOf": [{ "type": "string", "maxLength": 3 }, { "type": "integer" }, {
      "type": "object",
      "properties": { "z": { "const": 1 } },
      "required": ["z"],
    }],
  }],
  ["oneof", {
    "oneOf": [{
      "type": "object",
      "properties": { "t": { "const": "a" }, "x": { "type": "integer" } },
      "required": ["t", "x"],
    }, { "type": "object", "properties": { "t": { "const": "b" }, "y": { "type": "string" } }, "required": ["t"] }],
  }],
  ["allof", {
    "allOf": [{ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] }, {
      "properties": { "b": { "type": "string" } },
      "required": ["b"],
    }],
  }],
  ["allof2", { "allOf": [{ "minimum": 3 }, { "maximum": 9 }], "type": "integer" }],
  ["rec", {
    "$defs": {
      "node": {
        "type": "object",
        "properties": {
          "v": { "type": "integer" },
          "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
        },
        "required": ["v", "next"],
        "additionalProperties": false,
      },
    },
    "$ref": "#/$defs/node",
  }],
  ["tree", {
    "type": "object",
    "properties": { "kids": { "type": "array", "items": { "$ref": "#" } } },
    "required": ["kids"],
    "additionalProperties": false,
  }],
  ["refsib", {
    "$defs": { "s": { "type": "string", "minLength": 1 } },
    "type": "object",
    "properties": { "a": { "$ref": "#/$defs/s", "description": "x", "maxLength": 3 } },
    "required": ["a"],
  }],
  ["pydantic", {
    "$defs": { "Kind": { "enum": ["x", "y"], "title": "Kind", "type": "string" } },
    "title": "M",
    "type": "object",
    "properties": {
      "kind": { "$ref": "#/$defs/Kind" },
      "tags": { "items": { "type": "string" }, "title": "Tags", "type": "array" },
      "score": { "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "null" }], "default": null },
    },
    "required": ["kind", "tags"],
  }],
  ["f_date", { "type": "string", "format": "date" }],
  ["f_dt", { "type": "string", "format": "date-time" }],
  ["f_time", { "type": "string", "format": "time" }],
  ["f_email", { "type": "string", "format": "email" }],
  ["f_uuid", { "type": "string", "format": "uuid" }],
  ["f_ipv4", { "type": "string", "format": "ipv4" }],
  ["f_ipv6", { "type": "string", "format": "ipv6" }],
  ["f_host", { "type": "string", "format": "hostname" }],
  ["f_uri", { "type": "string", "format": "uri" }],
  ["f_dur", { "type": "string", "format": "duration" }],
  ["types", { "type": ["string", "null", "integer"] }],
  ["untyped", { "minLength": 2 }],
  ["required_unlisted", { "type": "object", "required": ["zz"], "properties": { "a": { "type": "integer" } } }],
  ["nested", {
    "type": "array",
    "items": { "type": "array", "items": { "type": "array", "items": { "type": "string" } } },
  }],
  ["long", { "type": "string", "minLength": 300, "maxLength": 4000 }],
  ["nons", { "type": "string", "pattern": "^\\S+\\s[^x]$" }],
  ["anyofsib", {
    "type": "object",
    "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
    "anyOf": [{ "required": ["a"] }, { "required": ["b"] }],
  }],
];

const ajv = new Ajv2020({ strict: false });
// The package is a CommonJS module: its types and what it is differ.
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
const decoder = new TextDecoder();

Deno.test("every document that a schema's grammar allows is valid under the schema, cut short or not", async () => {
  const random = seededRandom(4);
  for (const [name, schema] of FOLLOWED) {
    const isValid = ajv.compile(schema as object);
    const grammar = await compile(schemaGrammar(schema));
    for (let i = 0; i < 20; i++) {
      const text = decoder.decode(await walk(grammar, random, i % 2 === 0 ? 25 : 120));
      assert.ok(isValid(JSON.parse(text)), `${name}: ${text} is not valid: ${ajv.errorsText(isValid.errors)}`);
    }
    grammar.dispose();
  }
});

Deno.test("documents are written on one line, in the order of the properties", async () => {
  const schema = { type: "object", properties: { b: { const: 1 }, a: { enum: ["x"] } }, required: ["a", "b"] };
  const grammar = await compile(schemaGrammar(schema));
  assert.equal(decoder.decode(await walk(grammar, seededRandom(1), 99)), '{"b": 1, "a": "x"}');
  grammar.dispose();
});

Deno.test("what cannot be followed is refused by name and place", () => {
  const object = (properties: object) => ({ type: "object", properties });
  const cases: [schema: unknown, message: RegExp][] = [
    [false, /nothing that it allows ever ends/],
    [{ not: {} }, /^schema has not,/],
    [object({ a: { if: {}, then: {} } }), /^schema\.properties\.a has if,/],
    [{ type: "array", uniqueItems: true }, /^schema has uniqueItems,/],
    [{ type: "array", contains: {} }, /^schema has contains,/],
    [{ type: "object", propertyNames: { pattern: "a" } }, /^schema has propertyNames,/],
    [{ type: "integer", multipleOf: 3 }, /^schema\.multipleOf is 3;/],
    [{ type: "frog" }, /^schema\.type is "frog"; expected "string"/],
    [{ type: "string", format: "zork" }, /^schema\.format is "zork"; expected one of date,/],
    [{ type: "string", pattern: "(?=a)b" }, /^schema\.pattern asks for the regular expression holds \(\?=a\)/],
    [{ type: "string", pattern: "(" }, /^schema\.pattern asks for a regular expression that is not valid/],
    [{ type: "string", pattern: "[\\u4e00-\\u9fff]" }, /a class of 20992 characters beyond ASCII/],
    [{ type: "string", pattern: "a*", maxLength: 3 }, /^schema has pattern beside minLength or maxLength/],
    [{ type: "string", maxLength: 100_000 }, /a repetition of 100000 times/],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /nothing that it allows ever ends/],
    [{ $ref: "#" }, /nothing that it allows ever ends/],
    [{ $ref: "#/$defs/a" }, /^schema\.\$ref is "#\/\$defs\/a", which the schema does not have/],
    [{ $ref: "https://example.com/a.json" }, /^schema\.\$ref is "https:/],
    [{ oneOf: [{ type: "number" }, { type: "integer" }] }, /^schema\.oneOf\[0\] and \[1\] may both hold/],
    [{ allOf: [{ pattern: "a" }, { pattern: "b" }] }, /^schema combines two schemas with different pattern/],
    [{ enum: ["a"], minLength: 3 }, /^schema has minLength beside enum or const/],
    [{ type: "integer", minimum: 3.2, maximum: 3.8 }, /integers from 4 to 3: there are none/],
    [{ type: "string", minLength: -1 }, /^schema\.minLength is -1; expected a whole number/],
    [{ type: "object", minProperties: 2 }, /^schema\.minProperties is 2;/],
    [{ anyOf: [] }, /^schema\.anyOf is \[\]; expected an array of schemas/],
    [7, /^schema is 7; expected a schema/],
  ];
  for (const [schema, message] of cases) {
    assert.throws(() => schemaGrammar(schema), (error) => {
      assert.ok(error instanceof UnsupportedGrammarError, `${JSON.stringify(schema)}: ${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("no schema, however deep or wide, takes long to be refused or followed", () => {
  let deep: unknown = { type: "string" };
  for (let level = 0; level < 200; level++) deep = { type: "array", items: deep };
  assert.throws(() => schemaGrammar(deep), /nests more than 64 levels deep/);
  const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`p${i}`, { type: "string" }]));
  assert.throws(() => schemaGrammar({ type: "object", properties: wide }), /more than 2048 parts/);
  const twice = (schema: unknown) => ({
    allOf: [{ anyOf: [schema, { minLength: 1 }] }, { anyOf: [schema, { minLength: 2 }] }],
  });
  let doubled: unknown = { type: "string" };
  for (let i = 0; i < 12; i++) doubled = twice(doubled);
  assert.throws(() => schemaGrammar(doubled), /more than 256 alternatives/);
});
