/** @file What fits into the memory that WebAssembly addresses, and what is said where something does not. */
import assert from "node:assert/strict";
import type { ModelConfig } from "../../src/architecture/config.ts";
import { type MemoryRequest, planMemory } from "../../src/cpu/memory_plan.ts";

/** Llama 3.2 1B's sizes. */
const CONFIG: ModelConfig = {
  architecture: "llama",
  name: "a model",
  layerCount: 16,
  hiddenSize: 2048,
  feedForwardSize: 8192,
  queryHeadCount: 32,
  kvHeadCount: 8,
  headSize: 64,
  vocabularySize: 128256,
  contextLength: 131072,
  rmsNormEpsilon: 1e-5,
  rope: { base: 500000, dimensions: 64, pairing: "halves", scaling: { type: "none" } },
  attentionBias: false,
  queryKeyNorm: false,
  tiedEmbeddings: true,
};
const PARAMETERS = 1.236e9;
const REQUEST: MemoryRequest = { weights: "int8", maxBatch: 16 };
const GIB = 2 ** 30;

Deno.test("a small model gets its whole context and the cache that it would get on a GPU", () => {
  const small = { ...CONFIG, hiddenSize: 576, kvHeadCount: 3, contextLength: 8192, layerCount: 30 };
  const plan = planMemory(135e6, small, { ...REQUEST, weights: "f32" });
  assert.equal(plan.contextLength, 8192);
  assert.equal(plan.kvMemory, GIB);
});

Deno.test("a large model gets what its weights leave", () => {
  const { contextLength, kvMemory } = planMemory(PARAMETERS, CONFIG, REQUEST);
  // Half a GiB of hidden states, keys and values.
  assert.equal(contextLength, Math.floor(GIB / 2 / (4 * (2048 + 2 * 512))));
  assert.ok(kvMemory > GIB && kvMemory < 2 * GIB, `${kvMemory}`);
  const asked = planMemory(PARAMETERS, CONFIG, { ...REQUEST, context: 4096, kvMemory: GIB });
  assert.deepEqual(asked, { contextLength: 4096, kvMemory: GIB });
});

Deno.test("what does not fit is refused, with what would", () => {
  assert.throws(
    () => planMemory(PARAMETERS, CONFIG, { ...REQUEST, kvMemory: 3 * GIB }),
    /needs 1\.2 GiB .* beside a KV cache of 3\.0 GiB: expected a --kv-memory of at most \d+MiB/,
  );
  assert.throws(
    () => planMemory(PARAMETERS, CONFIG, { ...REQUEST, weights: "f32" }),
    /needs 4\.6 GiB for its weights in f32.*: expected --cpu-weights int8/,
  );
  assert.throws(() => planMemory(8e9, CONFIG, REQUEST), /expected a shorter --context, or a model of at most about/);
});
