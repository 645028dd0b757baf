/** @file Log-probabilities of a token and of the likeliest ones, under the model's own logits. */
import type { GeneratedToken } from "../../contract/generation.ts";
import { limited, logSumExp } from "./logit_row.ts";

/**
 * A token with its log-probability and those of the `top` likeliest tokens, the lowest id first among equals.
 *
 * @param logits `[vocabularySize]`, before penalties
 */
export function withLogprobs(id: number, logits: Float32Array, top: number): GeneratedToken {
  const { largest, logSum } = logSumExp(logits);
  const logprob = (token: number) => fround(fround(limited(logits[token]) - largest) - fround(logSum));
  return {
    id,
    logprob: logprob(id),
    topLogprobs: topTokens(logits, top).map((token) => ({ id: token, logprob: logprob(token) })),
  };
}

const { fround } = Math;

function topTokens(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let id = 0; id < logits.length; id++) {
    const logit = limited(logits[id]);
    if (best.length === count && logit <= limited(logits[best[count - 1]])) continue;
    let place = best.length;
    while (place > 0 && logit > limited(logits[best[place - 1]])) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}
