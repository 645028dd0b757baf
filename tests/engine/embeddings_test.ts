/** @file Vectors from a model that generates, on the GPU: against llama.cpp's, and against the CPU's. */
import assert from "node:assert/strict";
import { EMBEDDING_MODELS, GOLDEN_PROMPT } from "../../fixtures/golden_models.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { assertClose, GOLDEN_POOLINGS, goldenVectors, readVector, vectorOf } from "../support/embeddings.ts";
import { collect, randomPrompt, request, startTestEngine } from "../support/engine.ts";
import { withFile } from "../support/files.ts";

const vectors = await goldenVectors();

for (const [name, options] of Object.entries(EMBEDDING_MODELS)) {
  Deno.test(`the GPU's vector of "${name}" is llama.cpp's`, async () => {
    const engine = await startTestEngine(options);
    const { pooling, hiddenSize } = engine.model;
    assert.equal(pooling, GOLDEN_POOLINGS[name]);
    const vector = await readVector(engine.generate(request(GOLDEN_PROMPT, { maxTokens: 0, embed: pooling })));
    assert.equal(vector.length, hiddenSize);
    assertClose(vector, vectors[name]);
    await engine.close();
  });
}

Deno.test("on the GPU, vectors are the CPU's, whatever runs beside them, and leave no blocks and no prefix behind", async () => {
  const options = EMBEDDING_MODELS.llama;
  const prompts = [300, 40, 513, 7, 40].map((length, seed) => randomPrompt(seededRandom(seed), length));
  const embed = (prompt: readonly number[], embed: "mean" | "last" = "mean") =>
    request(prompt, { maxTokens: 0, embed });
  const expected = await withFile(tinyGguf(options), async (path) => {
    const model = await loadCpuModel(path, { contextLength: 1024, maxBatch: 8, kvMemory: 2 ** 24 });
    const { events } = await runOnCpu(model, [...prompts.map((prompt) => embed(prompt)), embed(prompts[1], "last")]);
    return events.map(vectorOf);
  });

  const engine = await startTestEngine(options, { context: 1024, kvMemory: 2 ** 24, prefixCache: 2 ** 22 });
  const [plain] = await Promise.all([collect(engine.generate(request(prompts[1])))]);
  const kept = (await engine.stats()).blocksCached;
  const running = [
    ...prompts.map((prompt) => engine.generate(embed(prompt))),
    engine.generate(embed(prompts[1], "last")),
  ];
  const beside = engine.generate(request(prompts[1]));
  const actual = await Promise.all(running.map(readVector));
  actual.forEach((vector, at) => assertClose(vector, expected[at]));
  assert.deepEqual((await collect(beside)).ids, plain.ids);
  const stats = await engine.stats();
  assert.deepEqual([stats.running, stats.blocksUsed, stats.generatedTokens], [0, 0, 16]);
  assert.equal(stats.blocksCached, kept);
  await engine.close();
});

Deno.test("an embedding that is aborted ends, and others go on", async () => {
  const engine = await startTestEngine(EMBEDDING_MODELS.llama);
  const prompt = randomPrompt(seededRandom(9), 400);
  const aborted = engine.generate(request(prompt, { maxTokens: 0, embed: "last" }));
  const other = engine.generate(request(GOLDEN_PROMPT, { maxTokens: 0, embed: "last" }));
  aborted.abort();
  const events = await Array.fromAsync(aborted.events);
  assert.equal(events.at(-1)!.type, "finished");
  assertClose(await readVector(other), vectors.llama);
  assert.equal((await engine.stats()).blocksUsed, 0);
  await engine.close();
});
