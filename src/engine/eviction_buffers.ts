/** @file The GPU buffers of a sequence that evicts while it generates: made at its admission, freed at its end. */
import { rankedBudget } from "../cache/budgets.ts";
import { CarriedAttention } from "../compression/carried_attention.ts";
import { QueryLog } from "../compression/query_log.ts";
import type { Model } from "../model/model.ts";
import type { DecodeEviction } from "./eviction.ts";
import type { Forecast } from "./forecast.ts";

export class EvictionBuffers {
  /** `null` where no query is asked. */
  readonly queryLog: QueryLog | null;
  /** `null` where no attention is summed. */
  readonly carriedAttention: CarriedAttention | null;

  /** @param mostNewTokens tokens, given and drawn, that follow the prompt */
  constructor(model: Model, forecast: Forecast, eviction: DecodeEviction, mostNewTokens: number) {
    this.queryLog = eviction.queries > 0 ? makeQueryLog(model, forecast, eviction) : null;
    this.carriedAttention = eviction.policy.needs.attentionSums
      ? makeCarriedAttention(model, forecast, eviction, mostNewTokens)
      : null;
  }

  /** Frees the buffers. */
  destroy(): void {
    this.queryLog?.destroy();
    this.carriedAttention?.destroy();
  }
}

function makeQueryLog(
  { gpu, config: { layerCount }, dimensions: { querySize } }: Model,
  { context: { promptLength: firstPosition } }: Forecast,
  { queries: rows, interval }: DecodeEviction,
): QueryLog {
  return new QueryLog(gpu, { layerCount, querySize, rows, interval, firstPosition });
}

function makeCarriedAttention(
  { gpu, config: { layerCount, kvHeadCount } }: Model,
  { policy: promptPolicy, context: { budget, promptLength } }: Forecast,
  { policy }: DecodeEviction,
  mostNewTokens: number,
): CarriedAttention {
  const policies = promptPolicy === null ? [policy] : [policy, promptPolicy];
  const provisional = policies.flatMap((some) => Array.from({ length: layerCount }, (_, i) => some.provisionalRows(i)));
  // A policy that fails is replaced by uniform budgets: reckon with those too.
  const ranked = Math.max(...provisional, rankedBudget(budget, policy.window));
  const rows = Math.min(ranked + policy.window, promptLength + mostNewTokens);
  return new CarriedAttention(gpu, { layerCount, kvHeadCount, rows });
}
