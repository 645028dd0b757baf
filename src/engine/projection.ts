/** @file Whether and how a request fits: its policy, and the blocks it can come to need. The client and the worker agree. */
import { BLOCK_ROWS } from "../cache/block.ts";
import { parseBudget } from "../cache/budgets.ts";
import { projectedBlocks } from "../cache/projected_blocks.ts";
import { MAX_STEPS } from "../model/dimensions.ts";
import type { PolicyContext, SequencePolicy } from "../plugins/policy.ts";
import { findPolicy } from "../plugins/registry.ts";
import { startPolicy } from "../plugins/start_policy.ts";
import type { GenerationRequest } from "./messages.ts";

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
export interface Projection {
  readonly context: PolicyContext;
  readonly policy: SequencePolicy | null;
  readonly blocks: number;
}

/**
 * Starts the policy of a request and projects its need.
 *
 * @param onFallback told why, where the policy fails and uniform budgets take its place
 * @throws {RangeError} when the budget cannot be read
 */
export function projectRequest(
  request: GenerationRequest,
  shape: CacheShape,
  onFallback: (reason: string) => void = () => {},
): Projection {
  const { policy: name, budget, options = {} } = request.kvCache;
  const found = findPolicy(name);
  if (found === undefined) throw new RangeError(`There is no KV cache policy "${name}"`);
  const promptLength = request.prompt.length;
  const context: PolicyContext = {
    layerCount: shape.layerCount,
    kvHeadCount: shape.kvHeadCount,
    headSize: shape.headSize,
    blockSize: BLOCK_ROWS,
    promptLength,
    budget: parseBudget(budget, promptLength),
  };
  const policy = startPolicy(found, context, options, onFallback);
  // A sequence may overrun its end by the rest of a submit.
  return { context, policy, blocks: projectedBlocks(context, policy, mostNewTokens(request) + MAX_STEPS) };
}
