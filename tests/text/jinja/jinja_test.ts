/** @file The constructs of templates against Jinja2, from tools/golden/chat_templates.py. */

import assert from "node:assert/strict";
import { fromJson } from "../../../src/text/jinja/from_json.ts";
import { JinjaTemplate } from "../../../src/text/jinja/interpreter.ts";
import type { Value } from "../../../src/text/jinja/values.ts";
import { type JsonValue, parseJson } from "../../../src/text/json_text.ts";

const golden = parseJson(await Deno.readTextFile(new URL("../../golden/jinja.json", import.meta.url))) as Map<
  string,
  JsonValue
>;
const values = [...golden.get("values") as Map<string, JsonValue>].map(([name, value]): [string, Value] => {
  return [name, fromJson(value)];
});

function render(source: string): string {
  const standard: [string, Value][] = [["tools", null], ["documents", null]];
  return new JinjaTemplate(source).render([...standard, ...values]).value;
}

for (const [source, expected] of golden.get("constructs") as [string, string | null][]) {
  Deno.test(`As Jinja2: ${JSON.stringify(source)}`, () => {
    if (expected === null) assert.throws(() => render(source));
    else assert.equal(render(source), expected);
  });
}
