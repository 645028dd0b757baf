/**
 * @file Runs a few short sequences through everything once, since drivers compile a kernel when it first runs: no request
 * should have to wait for that.
 */
import type { Dimensions } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import type { GenerationRequest } from "../contract/generation.ts";
import { GREEDY } from "../contract/sampling.ts";
import { projectRequest } from "./forecast.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { Scheduler } from "./scheduler.ts";

/** Batches of 8, then 3, then 1: one for each number of vectors that kernels are generated for. */
const TOKENS_TO_GENERATE = [40, 16, 16, 2, 2, 2, 2, 2];
const PROMPT_LENGTH = 40;
/** Rows of the compressed prompt: fewer than it has. */
const BUDGET = 16;

/** Warms a model up and leaves it as it was. Sequences that do not fit into its memory are left out. */
export async function warmUp(model: Model, policies: PolicyRegistry): Promise<void> {
  const requests = warmUpRequests(model.dimensions).filter((request) =>
    projectRequest(request, model.config, policies).blocks <= model.pool.largestArena
  );
  if (requests.length === 0) return;
  let open = requests.length;
  const scheduler = new Scheduler(model, policies, (_, event) => {
    if (event.type === "finished" && --open === 0) scheduler.close();
  }, () => {});
  requests.forEach((request, index) => scheduler.add(index, request));
  await scheduler.run();
  scheduler.destroy();
  model.pool.resetPeak();
}

function warmUpRequests({ contextLength, maxBatch }: Dimensions): GenerationRequest[] {
  const longest = TOKENS_TO_GENERATE[0];
  const prompt = new Uint32Array(Math.max(1, Math.min(PROMPT_LENGTH, contextLength - longest)));
  return TOKENS_TO_GENERATE.slice(0, maxBatch).map((maxTokens, index) => ({
    prompt,
    maxTokens: Math.min(maxTokens, Math.max(1, contextLength - prompt.length)),
    stopTokens: [],
    // The first one takes every detour of sampling.
    sampling: index > 0 ? GREEDY : { ...GREEDY, temperature: 1, topK: 20, topP: 0.9, minP: 0.01, presencePenalty: 1 },
    topLogprobs: index > 0 ? undefined : 1,
    kvCache: { policy: index > 0 ? "full" : "dynamickv", budget: BUDGET },
  }));
}
