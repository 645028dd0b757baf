/**
 * @file What the model thinks of a prompt: the log-probability of each of its tokens, with the whole prompt before it in the cache.
 *
 *     t0 | t1 t2 t3 ...    t0 is read as the prompt; the others are given, each with the logits that it would be drawn from
 *     t0 | t1              those of t1 are computed with the prompt: it is drawn, with no choice but itself
 *
 * A budget would change what is seen, so none is kept to here; the sequences are others than those that answer.
 */
import type { GenerationEvent, GenerationRequest } from "../../contract/generation.ts";
import { GREEDY } from "../../contract/sampling.ts";
import type { RouteContext } from "../context.ts";
import { ClientGoneError, HttpError } from "../errors.ts";

/** A token of a prompt. */
export interface PromptToken {
  readonly id: number;
  /** Natural logarithm; the first token has none. */
  readonly logprob?: number;
  /** How many tokens are likelier, plus one; null where it is not known. */
  readonly rank?: number | null;
  /** The most likely ones, most likely first. */
  readonly topLogprobs?: readonly { readonly id: number; readonly logprob: number }[];
}

/**
 * @param count how many likely tokens to report at each place
 * @param signal aborted when nobody waits for it any more
 * @param priority as in GenerationRequest
 * @param cacheSalt as in GenerationRequest: the prompt is left in the prefix cache
 * @throws {QueueFullError} {@link UnservableRequestError} {@link HttpError} as a request for one token
 */
export async function promptLogprobs(
  { engine }: RouteContext,
  prompt: Uint32Array,
  { count, signal, priority, cacheSalt }: {
    count: number;
    signal: AbortSignal;
    priority?: number | null;
    cacheSalt?: string | null;
  },
): Promise<PromptToken[]> {
  const tokens: PromptToken[] = [{ id: prompt[0] }];
  if (prompt.length === 1) return tokens;
  const request: GenerationRequest = {
    prompt: prompt.slice(0, 1),
    maxTokens: 1,
    stopTokens: [],
    sampling: GREEDY,
    topLogprobs: count,
    kvCache: { policy: "full", budget: 1 },
    ...priority && { priority },
    ...typeof cacheSalt === "string" && { cacheSalt },
  };
  const second = prompt.slice(1, 2);
  const drawn = { ...request, sampling: { ...GREEDY, allowedTokens: second } };
  for await (const event of eventsOf(drawn)) {
    if (event.type !== "tokens") continue;
    const { id, logprob, topLogprobs = [] } = event.tokens[0];
    const place = topLogprobs.findIndex((top) => top.id === id);
    tokens.push({ id, logprob, topLogprobs, rank: place < 0 ? null : place + 1 });
  }
  if (prompt.length === 2) return tokens;
  const given = { ...request, topLogprobs: undefined, continuation: { tokens: prompt.slice(1), logitsFrom: 1 } };
  for await (const event of eventsOf(given)) {
    if (event.type !== "logits") continue;
    for (const logits of event.logits) tokens.push(scored(prompt[tokens.length], logits, count));
  }
  return tokens;

  async function* eventsOf(request: GenerationRequest): AsyncGenerator<GenerationEvent, void> {
    const generation = engine.generate(request);
    const abort = () => generation.abort();
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    try {
      for await (const event of generation.events) {
        if (event.type === "failed") throw new HttpError(500, event.message, { code: "generation_failed" });
        if (event.type === "finished" && event.reason === "aborted") throw new ClientGoneError();
        yield event;
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }
}

/** A token as one of a distribution. */
function scored(id: number, logits: Float32Array, count: number): PromptToken {
  let highest = -Infinity;
  for (const logit of logits) if (logit > highest) highest = logit;
  let mass = 0;
  let likelier = 0;
  for (const logit of logits) {
    mass += Math.exp(logit - highest);
    if (logit > logits[id]) likelier++;
  }
  const logMass = highest + Math.log(mass);
  return {
    id,
    logprob: logits[id] - logMass,
    rank: likelier + 1,
    topLogprobs: highestOf(logits, count).map((top) => ({ id: top, logprob: logits[top] - logMass })),
  };
}

/** Places of the highest numbers, highest first; of equal ones, the first. */
function highestOf(numbers: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let at = 0; at < numbers.length; at++) {
    if (best.length === count && !(numbers[at] > numbers[best[count - 1]])) continue;
    const place = best.findIndex((other) => numbers[at] > numbers[other]);
    best.splice(place < 0 ? best.length : place, 0, at);
    if (best.length > count) best.pop();
  }
  return best;
}
