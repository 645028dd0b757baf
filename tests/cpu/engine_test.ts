/** @file The CPU engine through its client, with its own thread and onnxruntime's beside it. */
import assert from "node:assert/strict";
import { tinyGguf } from "../../fixtures/tiny_model.ts";
import type { GenerationEvent } from "../../src/contract/generation.ts";
import { type EngineClient, startEngineWorker } from "../../src/engine/client.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { collect, request, TEST_ENGINE, until } from "../support/engine.ts";
import { withFile } from "../support/files.ts";

const THREAD = new URL("../../src/cpu/worker.ts", import.meta.url);

function startCpuEngine(options: Partial<Parameters<typeof startEngineWorker>[0]> = {}): Promise<EngineClient> {
  return withFile(
    tinyGguf({ architecture: "llama", seed: 5 }),
    (model) =>
      startEngineWorker({ ...TEST_ENGINE, policies: builtInPolicies, thread: THREAD, threads: 2, model, ...options }),
  );
}

Deno.test("the CPU engine says what it computes on, serves, counts and closes", async () => {
  const engine = await startCpuEngine();
  assert.equal(engine.device, "the CPU (WebAssembly, int8 weights, 2 threads)");
  assert.equal(engine.model.architecture, "llama");
  const [one, other] = await Promise.all([
    collect(engine.generate(request([1, 5, 9], { maxTokens: 12 }))),
    collect(engine.generate(request([1, 5, 9], { maxTokens: 12 }))),
  ]);
  assert.equal(one.ids.length, 12);
  assert.deepEqual(one.ids, other.ids);
  assert.deepEqual(one.last, { type: "finished", reason: "length", completionTokens: 12 });
  const stats = await engine.stats();
  assert.equal(stats.promptTokens, 6);
  assert.equal(stats.generatedTokens, 24);
  assert.equal(stats.blocksUsed, 0);
  assert.ok(stats.dispatches > 0);
  await engine.close();
});

Deno.test("the CPU engine says that onnxruntime computes where weights are f32, and on how many threads", async () => {
  for (const [threads, said] of [[1, "1 thread"], [2, "2 threads"]] as const) {
    const engine = await startCpuEngine({ cpuWeights: "f32", threads });
    assert.equal(engine.device, `the CPU (onnxruntime, f32 weights, ${said})`);
    await engine.close();
  }
});

Deno.test("an abort ends a sequence of the CPU engine in the queue, in prefill and while it decodes", async () => {
  const engine = await startCpuEngine({ maxBatch: 2 });
  const long = (length: number) => request(Array.from({ length }, (_, i) => 3 + i % 200), { maxTokens: 100 });
  const generations = [long(20), long(400), long(400), long(10)].map((asked) => engine.generate(asked));
  const aborted = generations.map(async (generation, i) => {
    const events: GenerationEvent[] = [];
    for await (const event of generation.events) {
      events.push(event);
      if (i === 0 && event.type === "tokens") generations.forEach((each) => each.abort());
    }
    return events.at(-1);
  });
  for (const last of await Promise.all(aborted)) {
    assert.equal(last?.type, "finished");
    assert.equal(last?.type === "finished" && last.reason, "aborted");
  }
  await until(async () => (await engine.stats()).blocksUsed === 0, "the blocks to come back");
  await engine.close();
});

Deno.test("the CPU engine refuses a cache in half precision, and one without a block", async () => {
  await assert.rejects(startCpuEngine({ kvType: "f16" }), /--kv-type is f16: expected f32/);
  await assert.rejects(startCpuEngine({ kvMemory: 10 }), /--kv-memory is 10 bytes: expected at least one block/);
});
