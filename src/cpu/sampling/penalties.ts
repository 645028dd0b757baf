/** @file Logit bias and penalties for repeated tokens; see kernels/sampling/penalties.ts, whose order and counts these are. */
import { FORBIDDEN_BIAS, type SamplingParameters } from "../../contract/sampling.ts";
import { IN_PROMPT } from "../../kernels/sampling/penalties.ts";

const { fround } = Math;

/**
 * The logits to draw from: a copy with bias, repetition, frequency and presence penalties.
 *
 * @param counts `[vocabularySize]`: how often each token was generated, and {@link IN_PROMPT}; null where no penalty applies
 */
export function adjustLogits(
  logits: Float32Array,
  { logitBias, allowedTokens, repetitionPenalty, frequencyPenalty, presencePenalty }: SamplingParameters,
  counts: Uint32Array | null,
): Float32Array {
  const adjusted = logits.slice();
  if (allowedTokens !== undefined) {
    for (let id = 0; id < adjusted.length; id++) adjusted[id] += FORBIDDEN_BIAS;
    for (const id of allowedTokens) adjusted[id] = logits[id];
  }
  for (const { token, bias } of logitBias) adjusted[token] += bias;
  if (counts === null) return adjusted;
  for (let id = 0; id < adjusted.length; id++) {
    const count = counts[id];
    if (count === 0) continue;
    let logit = adjusted[id];
    logit = fround(logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty);
    const generated = count & (IN_PROMPT - 1);
    adjusted[id] = logit - fround(frequencyPenalty * generated + presencePenalty * Math.min(generated, 1));
  }
  return adjusted;
}
