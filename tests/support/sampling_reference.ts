/** @file Sampling as plain f64 arithmetic on sorted arrays: what the sampling kernels are held against. */
import type { SamplingParameters } from "../../src/contract/sampling.ts";

/** A logit as the kernels take it: NaN is -infinity, and infinities are +-1e38. */
export function limited(logit: number): number {
  return Number.isNaN(logit) ? -1e38 : Math.min(1e38, Math.max(-1e38, logit));
}

/** Token ids, most likely first, the lowest id first among equals. */
export function ranking(logits: Float32Array): number[] {
  return [...logits.keys()].sort((a, b) => limited(logits[b]) - limited(logits[a]) || a - b);
}

/** Log-probabilities of all tokens. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const x = Float64Array.from(logits, limited);
  const maximum = x.reduce((a, b) => Math.max(a, b));
  const logSum = Math.log(x.reduce((sum, logit) => sum + Math.exp(logit - maximum), 0));
  return x.map((logit) => logit - maximum - logSum);
}

/**
 * The tokens that min-p, top-k and top-p leave, in that order. Tokens that equal the last one kept are kept.
 *
 * @param slack moves the limits of min-p (as a logarithm) and top-p: positive keeps more
 */
export function survivors(logits: Float32Array, parameters: SamplingParameters, slack = 0): Set<number> {
  const { temperature, topK, topP, minP } = parameters;
  const order = ranking(logits);
  const scaled = (token: number) => (limited(logits[token]) - limited(logits[order[0]])) / temperature;
  let kept = order.filter((token) => minP === 0 || scaled(token) >= Math.log(minP) - slack);
  if (topK > 0 && topK < kept.length) kept = kept.filter((token) => scaled(token) >= scaled(kept[topK - 1]));
  if (topP < 1) {
    const total = kept.reduce((sum, token) => sum + Math.exp(scaled(token)), 0);
    let mass = 0;
    let last = 0;
    while (last < kept.length - 1 && (mass += Math.exp(scaled(kept[last])) / total) < topP + slack) last++;
    kept = kept.filter((token) => scaled(token) >= scaled(kept[last]));
  }
  return new Set(kept);
}

/** pcg3d of Jarzynski and Olano, Hash Functions for GPU Rendering, JCGT 2020: the third of its three outputs. */
export function pcg3d(x: number, y: number, z: number): number {
  const mix = (value: number) => Math.imul(value, 1664525) + 1013904223 | 0;
  [x, y, z] = [mix(x), mix(y), mix(z)];
  for (const shift of [16, 0]) {
    x = x + Math.imul(y, z) | 0;
    y = y + Math.imul(z, x) | 0;
    z = z + Math.imul(x, y) | 0;
    if (shift > 0) [x, y, z] = [x ^ x >>> shift, y ^ y >>> shift, z ^ z >>> shift];
  }
  return z >>> 0;
}

/**
 * Draws from `candidates` by the Gumbel-max trick.
 *
 * @returns the token, and by how much its score beat the second best: rounding may turn a small margin
 */
export function gumbelMax(
  logits: Float32Array,
  candidates: Iterable<number>,
  temperature: number,
  seed: number,
  drawIndex: number,
): { token: number; margin: number } {
  let token = -1;
  let best = -Infinity;
  let second = -Infinity;
  for (const id of candidates) {
    const u = Math.min((pcg3d(seed, drawIndex, id) + 0.5) / 2 ** 32, 1 - 2 ** -24);
    const score = limited(logits[id]) / temperature - Math.log(-Math.log1p(-u));
    if (score > best) [token, best, second] = [id, score, best];
    else second = Math.max(second, score);
  }
  return { token, margin: best - second };
}

/** Pearson's chi-square statistic of observed counts against expected probabilities. */
export function chiSquare(observed: readonly number[], probabilities: readonly number[]): number {
  const total = observed.reduce((a, b) => a + b);
  return observed.reduce(
    (sum, count, i) => sum + (count - total * probabilities[i]) ** 2 / (total * probabilities[i]),
    0,
  );
}
