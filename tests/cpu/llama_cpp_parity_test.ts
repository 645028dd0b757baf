/** @file The CPU's forward pass against llama.cpp, exact arithmetic and itself: see forward_parity.ts. */
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { request } from "../support/engine.ts";
import { testForwardParity } from "../support/forward_parity.ts";

/** The cache is f32 always, where llama.cpp's is rounded to half precision. */
const ROUNDED_CACHE = 1e-2;

await testForwardParity("CPU", async (path, prompt, count) => {
  const model = await loadCpuModel(path, { contextLength: 64, maxBatch: 1, kvMemory: 2 ** 20 });
  const { outcomes: [{ tokens }] } = await runOnCpu(model, [request(prompt, { maxTokens: count, topLogprobs: 20 })]);
  return {
    tokens: tokens.map(({ id }) => id),
    logprobs: tokens.map(({ topLogprobs }) => new Map(topLogprobs!.map(({ id, logprob }) => [id, logprob]))),
  };
}, ROUNDED_CACHE);
