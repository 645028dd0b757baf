/** @file When the requests of a load are sent. */
import type { Random } from "../tasks/random.ts";

/**
 * Seconds from the start to each request. The gaps have a gamma distribution, as in vLLM's benchmark: with a burstiness of 1
 * requests come by chance (a Poisson process), with less in bursts, with more evenly.
 *
 * @param rate requests a second; Infinity sends all at once
 */
export function arrivals(count: number, rate: number, burstiness: number, random: Random): number[] {
  if (rate === Infinity) return Array(count).fill(0);
  const scale = 1 / (rate * burstiness);
  const gaps = Array.from({ length: count }, () => gamma(burstiness, random) * scale);
  // So that as many come in a second as were asked for, whatever was drawn.
  const correction = count / rate / gaps.reduce((sum, gap) => sum + gap, 0);
  let at = 0;
  return gaps.map((gap) => at += gap * correction);
}

/** A number of the gamma distribution with scale 1 (Marsaglia and Tsang, 2000). */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.next()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.next()) < x * x / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** A number of the standard normal distribution (Box and Muller). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
