import assert from "node:assert/strict";
import { JsonFloat, jsonMembers, jsonText, type JsonValue, parseJson } from "../../src/text/json_text.ts";

/** As `JSON.parse` would give it. */
function plain(value: JsonValue): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof JsonFloat) return value.value;
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [key, plain(item)])) : value;
}

const TEXTS = [
  "null",
  "true",
  " false ",
  "0",
  "-12",
  "1.5e-7",
  "1E5",
  '""',
  '"a\\"b\\\\"',
  '"\\u00fc\\n\\\\\\\\"',
  "[]",
  "{}",
  "[1, [2, {}], [] ]",
  '\n{ "a" : 1 ,"b":[ true , null ], "c": {"d": "}]\\"" } }\n',
  '{"":{"\\"":""}}',
  '{"a": 1, "a": 2}',
];

Deno.test("JSON is read as JSON.parse reads it", () => {
  for (const text of TEXTS) assert.deepEqual(plain(parseJson(text)), JSON.parse(text), text);
  for (const text of ["", "{", "[1,]", "01", "{a: 1}", "nul", '"\n"', "1 2"]) {
    assert.throws(() => parseJson(text), SyntaxError);
  }
});

Deno.test("Numbers and the order of keys survive", () => {
  const value = parseJson('{"2": 1234567890123456789, "1": 1.0, "__proto__": -0, "x": 1e-07}') as Map<
    string,
    JsonValue
  >;
  assert.deepEqual([...value.keys()], ["2", "1", "__proto__", "x"]);
  assert.deepEqual([...value.values()], [1234567890123456789n, new JsonFloat(1), 0n, new JsonFloat(1e-7)]);
});

Deno.test("The members of an object come as they are written", () => {
  const text = ' { "a" : [1.0, {"b": "]}\\""}] , "c":"x, \\\\" , "d" : -1e5,"a\\u0062": null, "e": {"f": {}} } ';
  assert.deepEqual([...jsonMembers(text)], [
    ["a", '[1.0, {"b": "]}\\""}]'],
    ["c", '"x, \\\\"'],
    ["d", "-1e5"],
    ["ab", "null"],
    ["e", '{"f": {}}'],
  ]);
  assert.deepEqual([...jsonMembers("{ }")], []);
});

Deno.test("Hostile JSON is refused or passed in time that grows with its length", () => {
  assert.throws(() => parseJson("[".repeat(502) + "]".repeat(502)), /nests more than 500 levels deep/);
  assert.throws(() => parseJson("1".repeat(5000)), /an integer of 5000 digits/);
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  assert.equal(jsonMembers(`{"a": ${deep}}`).get("a"), deep);
  const quoted = JSON.stringify("\\".repeat(500_000));
  assert.equal(jsonMembers(`{"a": ${quoted}}`).get("a"), quoted);
});

Deno.test("Values are written as they were read, without white space", () => {
  for (
    const text of [
      '{"2":1234567890123456789,"1":1.0,"x":-0.5,"none":null,"all":[true,false,"a\\"b"],"in":{"":[]}}',
      "[]",
      '"\u00fc"',
    ]
  ) {
    const value = parseJson(text);
    assert.equal(jsonText(value), text.replace("\\u00fc", "ü"));
    assert.deepEqual(parseJson(jsonText(value)), value);
  }
});
