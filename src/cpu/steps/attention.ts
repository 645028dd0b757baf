/**
 * @file Scores by the attention that the last rows pay to each row before them; see kernels/scoring/window_scores.ts and
 * window_moments.ts for the same on a GPU.
 *
 *     sum            mean over the group's heads of  sum over the queries                      SnapKV
 *     variance       mean over the group's heads of  mean + weight x variance over the queries CAKE
 *     group maximum  maximum over the group's heads of  mean over the queries                  LAVa
 *     pooled maximum maximum over all queries of the group, each pooled by itself              DefensiveKV
 */
import type { AttentionStatistics } from "../../scores/layer_record.ts";
import { type Attention, poolingWidth } from "../../policy/steps/attention.ts";
import { blankScores, type CpuStep, type ScoredRows } from "./scored_rows.ts";

/** Sum over the queries of a head, and their sum of squares, for every scored row. */
function moments(
  attention: Float32Array,
  head: number,
  window: number,
  { length, scored }: Pick<ScoredRows, "length" | "scored">,
) {
  const sums = new Float64Array(scored);
  const squares = new Float64Array(scored);
  for (let query = 0; query < window; query++) {
    const at = (head * window + query) * length;
    for (let j = 0; j < scored; j++) {
      const a = attention[at + j];
      sums[j] += a;
      squares[j] += a * a;
    }
  }
  return { sums, squares };
}

/** The variance of a sample; a single query has none. */
function variance(sum: number, squares: number, window: number): number {
  return Math.max(squares - sum * sum / window, 0) / Math.max(window - 1, 1);
}

/** Maximum over the queries of a KV head, each of which shares what a row gets among the rows within reach. */
function pooledMaxima(attention: Float32Array, queries: number, width: number, { length, scored }: ScoredRows) {
  const reach = (width - 1) / 2;
  const maxima = new Float64Array(scored);
  const shares = new Float64Array(scored);
  for (let query = 0; query < queries; query++) {
    for (let j = 0; j < scored; j++) {
      const within = Math.min(j + reach, scored - 1) - Math.max(j - reach, 0) + 1;
      shares[j] = attention[query * length + j] / within;
    }
    for (let j = 0; j < scored; j++) {
      let pooled = 0;
      for (let i = Math.max(j - reach, 0); i <= Math.min(j + reach, scored - 1); i++) pooled += shares[i];
      maxima[j] = Math.max(maxima[j], pooled);
    }
  }
  return maxima;
}

/** Scores rows by the attention of the last ones. */
export const scoreByAttention: CpuStep<Attention> = (rows, step) => {
  const { reduce } = step;
  const window = Math.min(step.window, rows.queries);
  const width = poolingWidth(step);
  const weight = typeof reduce === "object" && "varianceWeight" in reduce ? reduce.varianceWeight : 0;
  const { group, scored } = rows;
  const scores = blankScores(rows);
  scores.forEach((result, kvHead) => {
    const attention = rows.attention(kvHead, window);
    if (width !== null) return result.set(pooledMaxima(attention, group * window, width, rows));
    const total = new Float64Array(scored);
    for (let head = 0; head < group; head++) {
      const { sums, squares } = moments(attention, head, window, rows);
      for (let j = 0; j < scored; j++) {
        if (reduce === "sum") total[j] += sums[j] / group;
        else if (reduce === "group-maximum") total[j] = Math.max(total[j], sums[j] / window);
        else total[j] += (sums[j] / window + weight * variance(sums[j], squares[j], window)) / group;
      }
    }
    result.set(total);
  });
  return scores;
};

/** How the attention that the last `window` rows, or as many as are asked, pay to those before them is spread, over all heads. */
export function attentionStatistics(rows: ScoredRows, wanted: number): AttentionStatistics {
  const window = Math.min(wanted, rows.queries);
  const { kvHeadCount, group, length } = rows;
  // Where fewer queries are asked than the window has rows, the others of the window are among them.
  const before = { length, scored: length - window };
  let entropy = 0;
  let total = 0;
  for (let kvHead = 0; kvHead < kvHeadCount; kvHead++) {
    const attention = rows.attention(kvHead, window);
    for (let query = 0; query < group * window; query++) {
      for (let j = 0; j < before.scored; j++) {
        const a = attention[query * length + j];
        if (a > 0) entropy -= a * Math.log(a);
      }
    }
    for (let head = 0; head < group; head++) {
      const { sums, squares } = moments(attention, head, window, before);
      for (let j = 0; j < before.scored; j++) total += variance(sums[j], squares[j], window);
    }
  }
  return { entropy, variance: total };
}
