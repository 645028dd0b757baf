/**
 * @file Generations that start together.
 *
 * Requests that are sent one after the other may be let in by twos and threes, as time has it. So that a company starts as a
 * whole, another generation has all the memory promised meanwhile:
 *
 *     host      runs ------------------------------------ aborted
 *     company        waits, waits, ... until all have come      all are let in, into one pack
 */
import { type Case, type Company, CONTEXT, EVICTION, MAX_TOKENS } from "./cases.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { type EngineClient, type GenerationRequest, GREEDY, parseKvCacheChoice } from "./program.ts";

export const KEEP_ALL = { policy: "full", budget: 1 };

/** A greedy request whose `kv_cache` is written as in HTTP. */
export function requestOf(kvCache: unknown, prompt: Uint32Array, maxTokens: number): GenerationRequest {
  return {
    prompt,
    maxTokens,
    stopTokens: [],
    sampling: GREEDY,
    topLogprobs: 2,
    kvCache: parseKvCacheChoice(kvCache, KEEP_ALL),
  };
}

/** Plays a company; the outcomes by the names of the cases. */
export async function playCompany(
  engine: EngineClient,
  company: Company,
  prompts: readonly Uint32Array[],
  decode?: (tokens: readonly number[]) => string,
): Promise<Record<string, Outcome>> {
  const isAlone = company.length === 1;
  const release = isAlone ? () => Promise.resolve() : await holdMemory(engine, company.length);
  const outcomes = company.map(async (made) => {
    const outcome = await outcomeOf(engine.generate(caseRequest(made, prompts)), decode);
    return [`${made.name}, ${isAlone ? "alone" : "packed"}`, outcome] as const;
  });
  await release();
  return Object.fromEntries(await Promise.all(outcomes));
}

function caseRequest(
  { prompt, contender: { policy, options }, budget, evicts, sampling, seed }: Case,
  prompts: readonly Uint32Array[],
): GenerationRequest {
  const kvCache = { policy, options, budget, ...evicts && { decode_eviction: EVICTION } };
  const request = requestOf(kvCache, prompts[prompt], evicts ? MAX_TOKENS.evicting : MAX_TOKENS.keeping);
  return { ...request, sampling: { ...GREEDY, ...sampling, seed } };
}

/** Starts a generation that leaves no block to others. The result waits until all have come, and ends it. */
async function holdMemory(engine: EngineClient, others: number): Promise<() => Promise<void>> {
  const request = requestOf(KEEP_ALL, Uint32Array.of(1), CONTEXT - 1);
  const host = engine.generate({ ...request, maxTokens: engine.fittingTokens(request) });
  const started = Promise.withResolvers<void>();
  const outcome = outcomeOf(host, undefined, () => started.resolve());
  await started.promise;
  return async () => {
    const { running, waiting } = await engine.stats();
    host.abort();
    const { end } = await outcome;
    if (running === 1 && waiting === others && end.includes("aborted")) return;
    throw new Error(
      `${others} sequences should have waited for one that was aborted: ${waiting} waited, ${running} ran, and it ended as ${end}`,
    );
  };
}
