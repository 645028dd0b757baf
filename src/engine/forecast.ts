/** @file Whether and how a request fits: its policy, and the blocks it can come to need. The client and the worker agree. */
import { BLOCK_ROWS } from "../cache/block.ts";
import { parseBudget } from "../cache/budgets.ts";
import { forecastBlocks, forecastEvictingBlocks, type SharingSchedule } from "../cache/block_forecast.ts";
import { MAX_STEPS } from "../model/dimensions.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { Policy, SequencePolicy } from "../policy/policy.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { ranksAgain } from "../policy/steps.ts";
import { startPolicy } from "../policy/fence.ts";
import { DecodeEviction } from "./eviction.ts";
import type { GenerationRequest } from "../contract/generation.ts";

/** The most tokens, given and drawn, that can follow the prompt. */
export function mostNewTokens({ continuation, maxTokens, resumableTokens = 0 }: GenerationRequest): number {
  return Math.max(resumableTokens, (continuation?.tokens.length ?? 0) + maxTokens);
}

/** The sizes of a model's cache. */
export interface CacheShape {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
}

/** A request's policy at work, and the most blocks the sequence can come to hold. */
export interface Forecast {
  readonly context: PolicyContext;
  /** `null` keeps every row of the prompt. */
  readonly policy: SequencePolicy | null;
  /** `null` keeps every row generated. */
  readonly eviction: DecodeEviction | null;
  /** What is promised at admission. */
  readonly blocks: number;
}

/**
 * Starts the policy of a request and forecasts its need.
 *
 * @param onFallback told why, where the policy fails and uniform budgets take its place
 * @throws {RangeError} when the budget cannot be read, or the policy cannot evict while tokens are generated and is to
 */
export function forecastRequest(
  request: GenerationRequest,
  shape: CacheShape,
  policies: PolicyRegistry,
  onFallback: (reason: string) => void = () => {},
): Forecast {
  const { policy: name, budget, options = {} } = request.kvCache;
  const found = policies.find(name);
  if (found === undefined) throw new RangeError(`There is no KV cache policy "${name}"`);
  const promptLength = request.prompt.length;
  const context: PolicyContext = {
    layerCount: shape.layerCount,
    kvHeadCount: shape.kvHeadCount,
    headSize: shape.headSize,
    blockSize: BLOCK_ROWS,
    promptLength,
    budget: parseBudget(budget, promptLength),
    messages: request.messages ?? [{ role: "prompt", start: 0, end: promptLength }],
  };
  const start: StartPolicy = (found, context, options) =>
    startPolicy(found, context, options, onFallback, policies.runnable);
  const policy = start(found, context, options);
  const eviction = startEviction(request, found, context, start);
  // A sequence may overrun its end by the rest of a submit.
  const newRows = mostNewTokens(request) + MAX_STEPS;
  const schedule = sharingSchedule(policy, context.layerCount);
  const blocks = eviction === null
    ? forecastBlocks(context, schedule, newRows)
    : forecastEvictingBlocks(context, schedule, eviction.policy.window, eviction.interval);
  return { context, policy, eviction, blocks };
}

/**
 * The most tokens, up to `request.maxTokens`, with which the sequence needs no more than `blocks`; 0 if there are none.
 *
 * @throws {RangeError} as {@link forecastRequest}
 */
export function fittingTokens(
  request: GenerationRequest,
  shape: CacheShape,
  policies: PolicyRegistry,
  blocks: number,
): number {
  const fits = (maxTokens: number) => forecastRequest({ ...request, maxTokens }, shape, policies).blocks <= blocks;
  if (fits(request.maxTokens)) return request.maxTokens;
  let [enough, tooMany] = [0, request.maxTokens];
  while (tooMany - enough > 1) {
    const middle = Math.floor((enough + tooMany) / 2);
    if (fits(middle)) enough = middle;
    else tooMany = middle;
  }
  return enough;
}

/** What the forecast of blocks has to know of a policy; `null` where every row of the prompt is kept. */
export function sharingSchedule(
  policy: Pick<SequencePolicy, "window" | "perHead" | "provisionalRows" | "isRebalanceDue"> | null,
  layerCount: number,
): SharingSchedule | null {
  if (policy === null) return null;
  return {
    window: policy.window,
    perHead: policy.perHead,
    layers: Array.from({ length: layerCount }, (_, layer) => ({
      provisionalRows: policy.provisionalRows(layer),
      isShared: policy.isRebalanceDue(layer),
    })),
  };
}

type StartPolicy = (
  found: Policy,
  context: PolicyContext,
  options: Readonly<Record<string, unknown>>,
) => SequencePolicy | null;

/** The eviction while tokens are generated, where a request asks for it and is long enough. */
function startEviction(
  request: GenerationRequest,
  found: Policy,
  context: PolicyContext,
  start: StartPolicy,
): DecodeEviction | null {
  const { kvCache: { decodeInterval, options = {} }, resumableTokens } = request;
  if (decodeInterval === undefined) return null;
  if (resumableTokens !== undefined) {
    throw new RangeError("A generation that can be resumed must keep its rows: leave out the decode interval");
  }
  const newTokens = mostNewTokens(request);
  // To an allocator, the rows to be shared are like those of a prompt as long as the whole sequence.
  const length = context.promptLength + newTokens;
  const policy = start(found, { ...context, promptLength: length }, options);
  if (policy === null) return null;
  if (policy.perHead || !ranksAgain(policy.score)) {
    throw new RangeError(`The KV cache policy "${found.name}" cannot evict while tokens are generated`);
  }
  if (policy.exactScores) {
    throw new RangeError(
      `The KV cache policy "${found.name}" cannot evict while generating with these options, for it shares rows by their exact ` +
        `scores: choose another policy or, for dynamickv, the mode "mended"`,
    );
  }
  // The first token comes without a row, and the last one needs no room.
  return newTokens < decodeInterval + 2 ? null : new DecodeEviction(policy, decodeInterval);
}
