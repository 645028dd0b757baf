/** @file One row of logits as the sampling kernels see it: finite numbers, equal ones by their lowest id. */

/** The largest magnitude of a logit. */
const LIMIT = Math.fround(1e38);

/** A logit with NaN taken for minus infinity, and infinities for +-1e38; see kernels/sampling/logit_row.ts. */
export function limited(logit: number): number {
  return logit >= -LIMIT ? Math.min(logit, LIMIT) : -LIMIT;
}

/** The largest logit's id, the lowest among equals. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  let most = limited(logits[0]);
  for (let id = 1; id < logits.length; id++) {
    // NaN compares as false.
    if (logits[id] > most && limited(logits[id]) > most) {
      most = limited(logits[id]);
      best = id;
    }
  }
  return best;
}

/** The largest logit and `log(sum(exp(logit - largest)))`. */
export function logSumExp(logits: Float32Array): { readonly largest: number; readonly logSum: number } {
  const largest = limited(logits[likeliest(logits)]);
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(limited(logits[id]) - largest);
  return { largest, logSum: Math.log(sum) };
}
