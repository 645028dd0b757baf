import assert from "node:assert/strict";
import { optionFields, typedOptions } from "../../src/page/option_fields.ts";
import { optionsJsonSchema } from "../../src/policy/choice.ts";
import { findPolicy, policies } from "../support/policies.ts";

const schema = optionsJsonSchema(findPolicy("dynamickv")!);

Deno.test("optionFields() makes a field of every option, with its bounds, choices and default", () => {
  const fields = optionFields(schema);
  const named = (name: string) => fields.find((field) => field.name === name)!;
  assert.deepEqual(fields.map(({ name }) => name), Object.keys((schema as any).properties));
  const { description, ...window } = named("window");
  assert.match(description, /^Last rows of the prompt/);
  assert.deepEqual(window, {
    name: "window",
    fallback: "8",
    kind: "number",
    choices: [],
    minimum: 1,
    maximum: 64,
    isWhole: true,
  });
  assert.deepEqual([named("pooling").kind, named("pooling").choices], ["choice", ["average", "maximum"]]);
  assert.deepEqual([named("valueNorm").kind, named("valueNorm").choices], ["choice", ["true", "false"]]);
  assert.deepEqual([named("floor").isWhole, named("kernel").isWhole, named("kernel").fallback], [false, true, "7"]);
  assert.equal(named("maximumRatio").fallback, "", "it has no fixed default");
  assert.deepEqual(optionFields({}), []);
});

Deno.test("typedOptions() has the types of the schema, and nothing of fields that are empty", () => {
  const typed = { window: " 16 ", kernel: "", pooling: "maximum", valueNorm: "true", floor: "0.25", other: "1" };
  assert.deepEqual(typedOptions(schema, typed), { window: 16, pooling: "maximum", valueNorm: true, floor: 0.25 });
  assert.deepEqual(typedOptions(schema, { valueNorm: "false" }), { valueNorm: false });
  // The server says what is wrong with it.
  assert.deepEqual(typedOptions(schema, { window: "eight" }), { window: "eight" });
});

Deno.test("what the fields say by default is what every policy takes", () => {
  for (const policy of policies) {
    const own = optionsJsonSchema(policy);
    const typed = Object.fromEntries(optionFields(own).map(({ name, fallback }) => [name, fallback]));
    assert.deepEqual(policy.options.parse(typedOptions(own, typed)), policy.options.parse({}), policy.name);
  }
});
