/**
 * @file TriAttention: rows matter that queries like those seen so far would attend to from far and near. Before they are rotated, the queries of a head
 * hardly differ in direction, so their mean stands for all of them; how much they differ in length and angle counts by the size of keys.
 *
 *     q_f, m_f    of each rotary pair f: mean query, mean length of queries, before rotation
 *     s[j]        mean over d in {1, 2, 4, ... 65536} of  q rotated to (prompt length + d) . k_j
 *                 + sum over f of  (m_f - |q_f|) |k_j,f|
 *
 * The published method has q and m calibrated once for each model, on any text; here they are those of the prompt itself. It also
 * normalises each query head by itself and takes the maximum of those that share a KV head; here their vectors are averaged and the sum is
 * normalised. It is made to evict while tokens are generated; here it ranks the rows of prompts.
 */
import {
  defaultWindow,
  definePolicy,
  defineScorer,
  linear,
  meanRotated,
  normalise,
  positive,
  type QueryStatistics,
  z,
} from "ebb/policy";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
});

/** How far behind the prompt queries stand. */
const DISTANCES = Array.from({ length: 17 }, (_, power) => 2 ** power);

/** The prompt's mean query from many distances, and the size of keys. */
export const triAttentionScorer = defineScorer({
  name: "triattention",
  description: "Scores a row by what the mean query of the prompt would pay to it from distances near and far",
  options,
  score: ({ budget }, { window = defaultWindow(8, budget) }) => [
    linear({
      window,
      coefficients(queries, { promptLength, rotary, headSize, kvHeadCount, queryHeadCount }) {
        const group = queryHeadCount / kvHeadCount;
        const vectors = new Float32Array(kvHeadCount * headSize);
        for (const distance of DISTANCES) {
          const { mean } = queries;
          meanRotated(mean, rotary, promptLength + distance, 1).forEach((element, i) => {
            const kvHead = Math.floor(i / (group * headSize));
            vectors[kvHead * headSize + i % headSize] += element / (group * DISTANCES.length);
          });
        }
        const pairs = headSize / 2;
        const magnitudes = new Float32Array(kvHeadCount * pairs);
        restOfLengths(queries, rotary.pairing, headSize).forEach((rest, i) => {
          magnitudes[Math.floor(i / (group * pairs)) * pairs + i % pairs] += rest / group;
        });
        return { vectors, magnitudes };
      },
    }),
    normalise({ by: "z-score" }),
    positive(),
  ],
});

/** TriAttention at the end of the prefill, with the prompt's own statistics. */
export default definePolicy({
  name: "triattention",
  description: "Keeps what the mean query of the prompt attends to from near and far, the same number in every layer",
  scorer: triAttentionScorer,
});

/** Mean length of each rotary pair of queries less the length of the mean: `[queryHead][headSize / 2]`, at least 0. */
function restOfLengths(
  { mean, meanMagnitude }: QueryStatistics,
  pairing: "adjacent" | "halves",
  headSize: number,
): Float32Array {
  const pairs = headSize / 2;
  return meanMagnitude.map((magnitude, i) => {
    const [head, pair] = [Math.floor(i / pairs), i % pairs];
    const [a, b] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
    return Math.max(0, magnitude - Math.hypot(mean[head * headSize + a], mean[head * headSize + b]));
  });
}
