/** @file The log's line of a request. */
import type { Context } from "hono";
import type { RouteEnvironment } from "./context.ts";
import type { RunReport } from "./generation/outcome.ts";

/** What is asked for by machines every few seconds, for ever: that it went well is no news. */
const PROBES: readonly string[] = ["/health", "/metrics"];

/** Whether a request gets a line. */
export function isWorthALine(route: string, status: number): boolean {
  return status !== 200 || !PROBES.includes(route);
}

/** What the line says. */
export function requestDetails(
  c: Context<RouteEnvironment>,
  { status, arrival, run }: { status: number; arrival: number; run: RunReport | undefined },
): Record<string, unknown> {
  const keyOwner = c.get("keyOwner");
  const cache = run?.usage.kv_cache;
  return {
    request_id: c.get("requestId"),
    method: c.req.method,
    path: c.req.path,
    ...keyOwner && { key: keyOwner.name },
    status,
    seconds: rounded((performance.now() - arrival) / 1000),
    ...run && {
      prompt_tokens: run.usage.prompt_tokens,
      completion_tokens: run.usage.completion_tokens,
      finish_reasons: run.outcomes,
      policy: run.kvCache.policy,
      budget: run.kvCache.budget,
      // Of the first choice; null where its prompt was never read.
      rows_kept: cache ? rounded(cache.rows_ratio * cache.prompt_rows) : null,
      first_token_seconds: rounded(run.pace.firstTokenSeconds),
      tokens_per_second: rounded(run.pace.tokensPerSecond),
    },
  };
}

/** To a thousandth, which is enough for a log. */
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toFixed(3));
}
