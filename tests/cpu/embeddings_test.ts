import assert from "node:assert/strict";
import { EMBEDDING_MODELS, GOLDEN_PROMPT } from "../../fixtures/golden_models.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import { poolRows } from "../../src/cpu/pool_rows.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { assertClose, GOLDEN_POOLINGS, goldenVectors, vectorOf } from "../support/embeddings.ts";
import { randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";

const vectors = await goldenVectors();

for (const [name, options] of Object.entries(EMBEDDING_MODELS)) {
  Deno.test(`the CPU's vector of "${name}" is llama.cpp's`, async () => {
    await withFile(tinyGguf(options), async (path) => {
      const model = await loadCpuModel(path);
      const embed = GOLDEN_POOLINGS[name];
      const { events } = await runOnCpu(model, [request(GOLDEN_PROMPT, { maxTokens: 0, embed })]);
      assertClose(vectorOf(events[0]), vectors[name]);
    });
  });
}

Deno.test("on the CPU, a vector does not depend on its company, and leaves no blocks and no prefix behind", async () => {
  await withFile(tinyGguf(EMBEDDING_MODELS.llama), async (path) => {
    const prompts = [300, 40, 300, 7].map((length, seed) => randomPrompt(seededRandom(seed), length));
    const embed = (prompt: readonly number[]) => request(prompt, { maxTokens: 0, embed: "mean" });
    const alone: Float32Array[] = [];
    for (const prompt of prompts) {
      const { events } = await runOnCpu(await loadCpuModel(path), [embed(prompt)]);
      alone.push(vectorOf(events[0]));
    }
    const model = await loadCpuModel(path, { maxBatch: 8, prefixCache: 2 ** 20 });
    const { events, outcomes, stats } = await runOnCpu(model, [...prompts.map(embed), request(prompts[1])]);
    prompts.forEach((_, at) => assertClose(vectorOf(events[at]), alone[at], 1e-6));
    const [expected] = (await runOnCpu(await loadCpuModel(path), [request(prompts[1])])).outcomes;
    assert.deepEqual(outcomes[4].ids, expected.ids);
    assert.equal(stats.blocksUsed, 0);
    assert.equal(stats.generatedTokens, 8);
    // 40 rows of the one that was gone on from, and its answer's: in two layers.
    assert.ok(stats.blocksCached > 0 && stats.blocksCached <= 2 * 3, `${stats.blocksCached} blocks are kept`);

    // Of a prompt that is cached, the rows before the last are not read: the last one's state is the same for it.
    const last = request(prompts[1], { maxTokens: 0, embed: "last" });
    const [fresh] = (await runOnCpu(await loadCpuModel(path), [last])).events;
    const again = await runOnCpu(model, [last, embed(prompts[1])]);
    assertClose(vectorOf(again.events[0]), vectorOf(fresh), 1e-5);
    assertClose(vectorOf(again.events[1]), alone[1], 1e-5);
    const cached = await runOnCpu(model, [last]);
    assert.equal(cached.outcomes[0].cachedTokens, 32);
    assertClose(vectorOf(cached.events[0]), vectorOf(fresh), 1e-5);
  });
});

Deno.test("poolRows() is the mean of rows that were normalised, or one of them", () => {
  const hidden = Float32Array.of(3, 4, 0, 0, 1, -1);
  const norm = Float32Array.of(1, 2);
  // Root mean squares: sqrt(12.5), 0 and 1; without epsilon but for the row of zeros.
  const first = [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)];
  assertClose(poolRows(hidden, norm, 1e-12, "first"), first, 1e-6);
  assertClose(poolRows(hidden, norm, 1e-12, "last"), [1, -2], 1e-6);
  assertClose(poolRows(hidden, norm, 1e-12, "mean"), [(first[0] + 1) / 3, (first[1] - 2) / 3], 1e-6);
});
