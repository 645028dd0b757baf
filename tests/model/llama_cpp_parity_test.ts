/** @file The GPU's forward pass against llama.cpp, exact arithmetic and itself: see forward_parity.ts. */
import { testGpu } from "../../fixtures/gpu.ts";
import { logProbabilities, testForwardParity } from "../support/forward_parity.ts";
import { greedy, loadTestModel } from "../support/greedy.ts";

// All tests share a device, and with it the kernels that their models share.
await testForwardParity("GPU", async (path, prompt, count, kvElement) => {
  const serving = { contextLength: 64, maxBatch: 1, kvElement, kvMemory: 2 ** 20 };
  const model = await loadTestModel(await testGpu(), path, serving);
  const [{ tokens, logits }] = await greedy(model, [prompt], count);
  return { tokens, logprobs: logits.map(logProbabilities) };
}, 0);
