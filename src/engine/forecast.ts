/** @file Whether and how a request fits: its policy, and the blocks it can come to need. The client and the worker agree. */
import { BLOCK_ROWS } from "../cache/block.ts";
import { isMassBudget, parseBudget } from "../cache/budgets.ts";
import {
  forecastBlocks,
  forecastEvictingBlocks,
  forecastProtectingBlocks,
  type SharingSchedule,
} from "../cache/block_forecast.ts";
import { MAX_STEPS } from "../model/dimensions.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { Policy, SequencePolicy } from "../policy/policy.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { startPolicy } from "../policy/fence.ts";
import { policyOfGenerated } from "../policy/generated.ts";
import { isAttention, ranksAgain, scoreOfGenerated } from "../policy/steps.ts";
import { DecodeEviction } from "./eviction.ts";
import { Protection } from "./protection.ts";
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
  const start: StartPolicy = (found, context, mass) =>
    startPolicy(found, context, options, onFallback, policies.runnable, mass);
  const { decodeInterval, decodeProtection = "prompt" } = request.kvCache;
  const protection = new Protection(decodeProtection, context);
  const mass = isMassBudget(budget) ? budget.mass : null;
  const policy = start(decodeInterval === undefined ? found : protection.ofPrompt(found), context, mass);
  if (mass !== null && policy !== null && !isAttention(policy.score)) {
    throw new RangeError(
      `The KV cache policy "${name}" does not score by attention alone, so no budget can be found by the mass of it: give a number of ` +
        `rows or a share of the prompt`,
    );
  }
  const eviction = startEviction(request, found, context, protection, policy, start);
  // A sequence may overrun its end by the rest of a submit.
  const newRows = mostNewTokens(request) + MAX_STEPS;
  const schedule = sharingSchedule(policy, context.layerCount);
  const blocks = eviction === null
    ? forecastBlocks(context, schedule, newRows)
    : (protection.leavesPrompt ? forecastProtectingBlocks : forecastEvictingBlocks)(
      context,
      schedule,
      eviction.policy.window,
      eviction.interval,
    );
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
  found: Pick<Policy, "name" | "start">,
  context: PolicyContext,
  mass?: number | null,
) => SequencePolicy | null;

/** The eviction while tokens are generated, where a request asks for it and is long enough. */
function startEviction(
  request: GenerationRequest,
  found: Policy,
  context: PolicyContext,
  protection: Protection,
  promptPolicy: SequencePolicy | null,
  start: StartPolicy,
): DecodeEviction | null {
  const { kvCache: { decodeInterval }, resumableTokens } = request;
  if (decodeInterval === undefined) return null;
  if (resumableTokens !== undefined) {
    throw new RangeError("A generation that can be resumed must keep its rows: leave out the decode interval");
  }
  const newTokens = mostNewTokens(request);
  // To an allocator, the rows to be shared are like those of a prompt as long as all of them.
  const length = protection.leavesPrompt ? newTokens : context.promptLength + newTokens;
  if (length < 2) return null;
  const shared = { ...context, promptLength: length };
  const whole = start(found, shared);
  if (whole === null) return null;
  requireAbility(found, whole, protection);
  const policy = start(protection.ofEvictions(protection.leavesPrompt ? policyOfGenerated(found) : found), shared);
  // The first token comes without a row, and the last one needs no room.
  if (policy === null || newTokens < decodeInterval + 2) return null;
  const promptRows = promptPolicy === null ? context.promptLength : promptPolicy.window;
  return new DecodeEviction(policy, decodeInterval, protection, promptRows);
}

/** @throws {RangeError} if a policy cannot evict, whose options may be others than those it was listed with */
function requireAbility({ name }: Policy, policy: SequencePolicy, { kind, leavesPrompt }: Protection): void {
  if (policy.exactScores) {
    throw new RangeError(
      `The KV cache policy "${name}" cannot evict while generating with these options, for it shares rows by their exact ` +
        `scores: choose another policy or, for dynamickv, the mode "mended"`,
    );
  }
  if (leavesPrompt ? scoreOfGenerated(policy.score) !== null : !policy.perHead && ranksAgain(policy.score)) return;
  throw new RangeError(
    `The KV cache policy "${name}" cannot evict while tokens are generated, and protect ${JSON.stringify(kind)}`,
  );
}
