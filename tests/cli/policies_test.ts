import assert from "node:assert/strict";
import { join } from "node:path";
import { policiesOf } from "../../src/cli/policies.ts";
import { pluginTest, withPlugins } from "../support/plugins.ts";

const POLICIES =
  "dynamickv, ebbkv, readahead, rehearsal, full, streaming, h2o, tova, snapkv, pyramidkv, adakv, cake, lava, knorm, keydiff, compactor, defensive, expectedattention, triattention, random or SCORER+ALLOCATOR, such as snapkv+pyramidkv";

pluginTest("policiesOf() refuses names of policies that there are not, and says which there are", async () => {
  await assert.rejects(policiesOf({ policy: "fast" }), { message: `--policy must be ${POLICIES}, not "fast"` });
  await assert.rejects(policiesOf({ policy: "snapkv+fast" }), /--policy must be .*, not "snapkv\+fast"$/);
  await assert.rejects(policiesOf({ policies: ["h2o", "fast"] }), {
    message: `--policies must be a list, with commas, each entry ${POLICIES}, not "h2o,fast"`,
  });
});

pluginTest("policiesOf() knows the policies of plugins", async () => {
  const text = `import { definePolicy } from "ebb/policy";
    export default definePolicy({ name: "mine", description: "Mine", score: () => null });`;
  await withPlugins({ "mine.ts": text }, async (directory) => {
    const plugin = [join(directory, "mine.ts")];
    const registry = await policiesOf({ plugin, policy: "mine", policies: ["mine", "snapkv+uniform"] });
    assert.equal(registry.originOf(registry.find("mine")!), plugin[0]);
    await assert.rejects(policiesOf({ plugin, policy: "yours" }), /random, mine or SCORER\+ALLOCATOR/);
  });
});
