/** @file Takes the tokens out of the choice that a grammar does not allow; see kernels/sampling/token_mask.ts. */
import { LEAST_LOGIT, MASKED_LOGIT } from "../../kernels/sampling/token_mask.ts";

/**
 * The logits to draw from: a copy in which only tokens of the mask are likely.
 *
 * @param mask a bit for each token that may come, lowest bit first; tokens beyond it may not
 */
export function maskLogits(logits: Float32Array, mask: Uint32Array): Float32Array {
  return logits.map((logit, id) => {
    const mayCome = ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
    // NaN is less than nothing.
    return mayCome ? (logit > LEAST_LOGIT ? logit : LEAST_LOGIT) : MASKED_LOGIT;
  });
}
