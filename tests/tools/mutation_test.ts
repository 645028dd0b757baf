import assert from "node:assert/strict";
import { withFault } from "../../tools/mutation/main.ts";
import { type Mutation, MUTATIONS } from "../../tools/mutation/mutations.ts";

const ROOT = new URL("../../", import.meta.url);
const fault = (from: string, to: string): Mutation => ({ file: "a.ts", from, to, tests: [] });

Deno.test("A fault is made in one place, and nowhere if there is not one alone", () => {
  assert.equal(withFault("a < b", fault("<", "<=")), "a <= b");
  assert.throws(() => withFault("a < b < c", fault("<", "<=")), {
    message: 'a.ts must hold "<" once, but does more often',
  });
  assert.throws(() => withFault("a > b", fault("<", "<=")), { message: 'a.ts must hold "<" once, but does not' });
});

Deno.test("Every fault can be made in the source as it is, differs from it, and names tests that are there", async () => {
  const keys = new Set<string>();
  for (const mutation of MUTATIONS) {
    const source = await Deno.readTextFile(new URL(mutation.file, ROOT));
    assert.notEqual(withFault(source, mutation), source);
    for (const test of mutation.tests) assert.ok(await Deno.stat(new URL(test, ROOT)), test);
    keys.add(JSON.stringify(mutation));
  }
  assert.equal(keys.size, MUTATIONS.length, "no fault is listed twice");
});
