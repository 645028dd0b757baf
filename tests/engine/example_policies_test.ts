/** The example policies on a model: each keeps its budget, fails nowhere, and stands in the table of the page on policies. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { compileKernels } from "../../src/engine/plugin_kernels.ts";
import { loadPolicies } from "../../src/serving/policies.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { observedModel, TestRun } from "../support/scheduling.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { pluginTest } from "../support/plugins.ts";

const LAYERS = 5;
const { model } = await observedModel({ architecture: "llama", seed: 3, layers: LAYERS }, { contextLength: 400 });
const registry = await loadPolicies([fileURLToPath(new URL("../../examples/policies", import.meta.url))]);
await compileKernels((step) => model.compressor.compile(step), model.config, registry.files);
registry.runnable = (score) => model.compressor.runnable(score);
const NAMES = registry.files.flatMap(({ plugins }) =>
  plugins.map(({ kind, name }) => kind === "policy" ? name : `${name}+dynamickv`)
);

pluginTest("there are at least six examples, each in the table of the page on policies with a score", async () => {
  assert.ok(NAMES.length >= 6);
  const page = await Deno.readTextFile(new URL("../../docs/extending/policy.md", import.meta.url));
  for (const name of NAMES) {
    assert.match(page, new RegExp(`^\\| \`${name.split("+")[0]}\` +\\|[^|]+\\| +[\\d.]+ +\\|$`, "m"));
  }
});

pluginTest("each example keeps its budget and fails nowhere, for a prompt and for a chat", async () => {
  const prompt = randomPrompt(seededRandom(1), 200);
  const messages = [{ role: "system", start: 2, end: 22 }, { role: "user", start: 30, end: 190 }];
  const run = new TestRun(model, undefined, registry);
  for (const policy of NAMES) {
    run.add(request(prompt, { kvCache: { policy, budget: 40 } }));
    run.add(request(prompt, { kvCache: { policy, budget: 40 }, messages }));
  }
  const { outcomes } = await run.end();
  assert.deepEqual(run.logged, []);
  outcomes.forEach(({ kvCache, ids }, i) => {
    const name = NAMES[Math.floor(i / 2)];
    assert.equal(ids.length, 8, name);
    const rows = kvCache!.rowsPerLayer;
    assert.ok(rows.reduce((a, b) => a + b) <= LAYERS * 40, `${name}: ${rows}`);
    if (name === "first-and-last-layers") assert.ok(rows[0] > rows[2] && rows[4] > rows[2], `${rows}`);
  });
});
