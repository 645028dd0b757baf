/** @file How far two distributions of the next token are apart. */

/**
 * The Kullback-Leibler divergence KL(P || Q) = sum of P(t) log(P(t) / Q(t)) over the whole vocabulary, in nats.
 *
 * @param p logits of P, `[vocabulary]`
 * @param q logits of Q, `[vocabulary]`
 */
export function divergence(p: Float32Array, q: Float32Array): number {
  const normaliserP = logSumExp(p);
  const normaliserQ = logSumExp(q);
  let sum = 0;
  for (let token = 0; token < p.length; token++) {
    const logP = p[token] - normaliserP;
    sum += Math.exp(logP) * (logP - (q[token] - normaliserQ));
  }
  // Rounding may take equal distributions below 0.
  return Math.max(0, sum);
}

/** The likeliest token, the lowest id among equals. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token] > logits[best]) best = token;
  return best;
}

function logSumExp(logits: Float32Array): number {
  const most = logits[likeliest(logits)];
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return most + Math.log(sum);
}
