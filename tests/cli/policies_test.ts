import assert from "node:assert/strict";
import { join } from "node:path";
import { defaultKvCacheOf, policiesOf } from "../../src/cli/policies.ts";
import { registry } from "../support/policies.ts";
import { pluginTest, withPlugins } from "../support/plugins.ts";

/** Whatever comes with Ebb, as it is listed. */
const POLICIES = `${
  registry.policies.map(({ name }) => name).join(", ")
} or SCORER+ALLOCATOR, such as snapkv+pyramidkv`;

pluginTest("policiesOf() refuses names of policies that there are not, and says which there are", async () => {
  await assert.rejects(policiesOf({ policy: "fast" }), { message: `--policy must be ${POLICIES}, not "fast"` });
  await assert.rejects(policiesOf({ policy: "snapkv+fast" }), /--policy must be .*, not "snapkv\+fast"$/);
  await assert.rejects(policiesOf({ policies: ["h2o", "fast"] }), {
    message: `--policies must be a list, with commas, each entry ${POLICIES}, not "fast"`,
  });
});

pluginTest("policiesOf() knows the policies of plugins", async () => {
  const text = `import { definePolicy } from "ebb/policy";
    export default definePolicy({ name: "mine", description: "Mine", score: () => null });`;
  await withPlugins({ "mine.ts": text }, async (directory) => {
    const plugin = [join(directory, "mine.ts")];
    const registry = await policiesOf({ plugin, policy: "mine", policies: ["mine", "snapkv+uniform"] });
    assert.equal(registry.originOf(registry.find("mine")!), plugin[0]);
    await assert.rejects(policiesOf({ plugin, policy: "yours" }), /, mine or SCORER\+ALLOCATOR/);
  });
});

Deno.test("defaultKvCacheOf() says that a budget does not count where every row is kept, and only there", () => {
  const said: string[] = [];
  const { error } = console;
  console.error = (line: string) => said.push(line);
  try {
    for (const policy of ["full", "snapkv"]) {
      for (const kvBudget of [64, 1024]) {
        assert.equal(defaultKvCacheOf({ policy, kvBudget }, registry).policy, policy);
      }
    }
  } finally {
    console.error = error;
  }
  // 1024 is what stands there without the flag.
  assert.deepEqual(said, ["--kv-budget 64 does not count: the policy full keeps every row"]);
});
