/**
 * @file Draws a token: temperature, min-p, top-k, top-p, then the Gumbel-max trick with noise from a hash of (seed, draw index,
 * token id). The rules, and why, are in kernels/sampling/sample.ts; both draw the same tokens. Numbers are rounded to f32 where
 * the kernel's are.
 */
import type { SamplingParameters } from "../../contract/sampling.ts";
import { likeliest, limited } from "./logit_row.ts";

const { fround } = Math;

/** Below this temperature the likeliest token is taken. */
const GREEDY_BELOW = 1e-5;
/** Probabilities are added in units of this. */
const UNITS = 2 ** 31;
/** No noise is larger: that of the smallest random number, 2^-33. */
const MOST_NOISE = 23;
const LARGEST_UNIFORM = 1 - 2 ** -24;

/** Whether the likeliest token is taken, whatever the seed. */
export function isGreedy({ temperature, topK }: SamplingParameters): boolean {
  return temperature < GREEDY_BELOW || topK === 1;
}

/**
 * The next token.
 *
 * @param logits `[vocabularySize]`, bias and penalties included
 * @param drawIndex position of the sequence's last token
 */
export function draw(logits: Float32Array, parameters: SamplingParameters, drawIndex: number): number {
  const first = likeliest(logits);
  if (isGreedy(parameters)) return first;
  const largest = limited(logits[first]);
  const inverseTemperature = fround(1 / parameters.temperature);
  const scaled = (id: number) => fround(Math.max(fround(limited(logits[id]) - largest), -1e30) * inverseTemperature);

  const { topK, topP, minP, seed } = parameters;
  const least = minP > 0 ? fround(Math.log(Math.min(minP, 1))) : -Infinity;
  let threshold = least;
  if (topK > 0 && topK < logits.length) threshold = Math.max(threshold, kthLargest(logits, scaled, least, topK));
  if (topP < 1) threshold = Math.max(threshold, nucleus(logits, scaled, threshold, topP));

  let best = first;
  let most = fround(gumbel(hash(seed, drawIndex, first)));
  for (let id = 0; id < logits.length; id++) {
    const score = scaled(id);
    if (score < threshold || score + MOST_NOISE < most) continue;
    const noisy = fround(score + gumbel(hash(seed, drawIndex, id)));
    if (noisy > most || (noisy === most && id < best)) {
      most = noisy;
      best = id;
    }
  }
  return best;
}

/** The k-th largest of the scaled logits that are at least `least`, or the smallest of them where there are fewer. */
function kthLargest(logits: Float32Array, scaled: (id: number) => number, least: number, k: number): number {
  const kept: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    const score = scaled(id);
    if (score >= least) kept.push(score);
  }
  const sorted = Float32Array.from(kept).sort();
  return sorted[Math.max(0, sorted.length - k)];
}

/** The smallest scaled logit of the likeliest tokens that together reach the share `topP` of those above the threshold. */
function nucleus(logits: Float32Array, scaled: (id: number) => number, threshold: number, topP: number): number {
  const kept: number[] = [];
  let mass = 0;
  for (let id = 0; id < logits.length; id++) {
    const score = scaled(id);
    if (score < threshold) continue;
    kept.push(score);
    mass += fround(Math.exp(score));
  }
  const units = UNITS / mass;
  const amountOf = (score: number) => Math.floor(fround(Math.exp(score)) * units + 0.5);
  // What is less than half a unit decides nothing.
  const counted = Float32Array.from(kept.filter((score) => amountOf(score) > 0)).sort();
  const total = counted.reduce((sum, score) => sum + amountOf(score), 0);
  const target = Math.min(Math.max(Math.ceil(fround(total * fround(topP))), 1), total);
  let sum = 0;
  for (let i = counted.length - 1; i >= 0; i--) {
    sum += amountOf(counted[i]);
    if (sum >= target) return counted[i];
  }
  return -Infinity;
}

/** pcg3d of Jarzynski and Olano, Hash Functions for GPU Rendering, JCGT 2020: the third of its three outputs. */
function hash(seed: number, drawIndex: number, id: number): number {
  let x = Math.imul(seed, 1664525) + 1013904223 | 0;
  let y = Math.imul(drawIndex, 1664525) + 1013904223 | 0;
  let z = Math.imul(id, 1664525) + 1013904223 | 0;
  x = x + Math.imul(y, z) | 0;
  y = y + Math.imul(z, x) | 0;
  z = z + Math.imul(x, y) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  x = x + Math.imul(y, z) | 0;
  y = y + Math.imul(z, x) | 0;
  z = z + Math.imul(x, y) | 0;
  return z >>> 0;
}

/** -log(-log(1 - u)) of a uniform u in (0, 1). */
function gumbel(randomBits: number): number {
  const u = Math.min(fround(fround(fround(randomBits) + 0.5) * 2 ** -32), LARGEST_UNIFORM);
  return fround(-Math.log(fround(-Math.log1p(-u))));
}
