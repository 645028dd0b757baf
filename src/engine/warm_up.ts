/**
 * @file Runs every kernel once, since drivers compile a kernel when it first runs: no request should have to wait for that.
 *
 * Which kernels there are, and with what parameters, comes from a rehearsal: a few short sequences go through the scheduler
 * without the GPU. Then the first dispatch of each kernel runs, one workgroup of it, whatever the number of layers.
 */
import type { LoadProgress } from "../contract/engine.ts";
import type { Pipeline, RehearsedDispatch } from "../gpu/gpu.ts";
import { Recorder } from "../gpu/recorder.ts";
import type { Dimensions } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import type { GenerationRequest } from "../contract/generation.ts";
import { GREEDY } from "../contract/sampling.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { forecastRequest } from "./forecast.ts";
import { TurnLoop } from "./turn_loop.ts";

/** Batches of 8, then 3, then 1: one for each number of vectors that kernels are generated for. */
const TOKENS_TO_GENERATE = [40, 16, 16, 2, 2, 2, 2, 2];
const PROMPT_LENGTH = 40;
/** Rows of the compressed prompt: fewer than it has. */
const BUDGET = 16;

/**
 * Warms a model up and leaves it as it was. Sequences that do not fit into its memory are left out.
 *
 * @param policy whose kernels run as well; none where it comes from a plugin, whose code is not to be called for no request
 */
export async function warmUp(
  model: Model,
  policies: PolicyRegistry,
  policy: string,
  onProgress: (progress: LoadProgress) => void = () => {},
): Promise<void> {
  const isPlugin = policies.files.some(({ plugins }) => plugins.some(({ name }) => policy.split("+").includes(name)));
  const dispatches = await rehearse(model, policies, isPlugin ? "full" : policy);
  const recorder = new Recorder(model.gpu);
  const report = (done: number) => onProgress({ stage: "kernels", done, total: dispatches.length });
  for (const [done, { binding, params }] of dispatches.entries()) {
    report(done);
    recorder.dispatch(binding, { params, grid: [1] });
    recorder.submit();
    await model.gpu.device.queue.onSubmittedWorkDone();
  }
  if (dispatches.length > 0) report(dispatches.length);
}

/** The first dispatch of each kernel that short sequences need. */
async function rehearse(model: Model, policies: PolicyRegistry, policy: string): Promise<RehearsedDispatch[]> {
  const requests = warmUpRequests(model.dimensions, policy).filter((request) =>
    forecastRequest(request, model.config, policies).blocks <= model.pool.largestArena
  );
  if (requests.length === 0) return [];
  const rehearsal = new Map<Pipeline, RehearsedDispatch>();
  model.gpu.rehearsal = rehearsal;
  // The last one again, once the others have ended: where prefixes are kept, it finds its own.
  const rounds = model.prefixIndex.isOn ? [requests, requests.slice(-1)] : [requests];
  let open = 0;
  const begin = () => {
    const round = rounds.shift();
    if (round === undefined) return loop.close();
    open = round.length;
    round.forEach((request, index) => loop.add(index, request));
  };
  const loop = new TurnLoop(model, policies, (_, event) => {
    if (event.type === "finished" && --open === 0) begin();
  }, () => {});
  begin();
  await loop.run();
  loop.destroy();
  model.gpu.rehearsal = null;
  // Nothing has been computed.
  model.prefixIndex.clear();
  model.pool.resetPeak();
  return [...rehearsal.values()];
}

function warmUpRequests({ contextLength, maxBatch }: Dimensions, policy: string): GenerationRequest[] {
  const longest = TOKENS_TO_GENERATE[0];
  const prompt = new Uint32Array(Math.max(1, Math.min(PROMPT_LENGTH, contextLength - longest)));
  return TOKENS_TO_GENERATE.slice(0, maxBatch).map((maxTokens, index) => ({
    prompt,
    maxTokens: Math.min(maxTokens, Math.max(1, contextLength - prompt.length)),
    stopTokens: [],
    // The first one takes every detour of sampling.
    sampling: index > 0 ? GREEDY : { ...GREEDY, temperature: 1, topK: 20, topP: 0.9, minP: 0.01, presencePenalty: 1 },
    topLogprobs: index > 0 ? undefined : 1,
    // The second one follows a grammar.
    grammar: index === 1 ? "" : undefined,
    kvCache: { policy: index > 0 ? "full" : policy, budget: BUDGET },
  }));
}
