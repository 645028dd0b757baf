import assert from "node:assert/strict";
import { withFault } from "../../tools/mutation/main.ts";
import { type Mutation, MUTATIONS } from "../../tools/mutation/mutations.ts";
import { faultsOf, randomFaults } from "../../tools/mutation/random_faults.ts";

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

Deno.test("faultsOf() exchanges what is code, and nothing in texts, comments, imports and types", () => {
  const source = [
    'import { a } from "1 < 2";',
    "// 1 < 2",
    "export type B = 1;",
    "const text = `a < b`, other = 'true', one = \"1 + 1\"; // 0",
    "if (a < 10) return;",
    "return Math.max(a, b.c0);",
    "",
  ].join("\n");
  const changed = faultsOf("a.ts", source, ["a_test.ts"]).map((mutation) => {
    assert.deepEqual([mutation.file, mutation.tests], ["a.ts", ["a_test.ts"]]);
    return withFault(source, mutation).split("\n").filter((line) => !source.split("\n").includes(line));
  });
  assert.deepEqual(changed.flat().sort(), [
    "if (a < 10) ;",
    "if (a <= 10) return;",
    "return Math.min(a, b.c0);",
  ]);
});

Deno.test("randomFaults() draws as many as are asked for, the same for the same seed, none twice", async () => {
  const draw = (seed: number, count: number) => randomFaults(ROOT.pathname, seed, count, "src/cache");
  const drawn = await draw(1, 20);
  assert.equal(new Set(drawn.map((mutation) => JSON.stringify(mutation))).size, 20);
  assert.deepEqual(await draw(1, 20), drawn);
  assert.notDeepEqual(await draw(2, 20), drawn);
  for (const mutation of drawn) {
    assert.ok(mutation.file.startsWith("src/cache/"));
    const source = await Deno.readTextFile(new URL(mutation.file, ROOT));
    assert.notEqual(withFault(source, mutation), source);
    for (const test of mutation.tests) assert.ok(await Deno.stat(new URL(test, ROOT)), test);
  }
});
