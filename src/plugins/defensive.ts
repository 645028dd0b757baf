/**
 * @file DefensiveKV (Feng et al., arXiv 2510.13334), its layers and heads cut while the prompt is read: a row matters that any one of
 * the last queries attends to, for what most of them pass over now may be what is asked for later.
 *
 *     a[q]    attention of one query of one query head, pooled so that none of it is lost
 *     m[j]    maximum of a[q][j] over the window's queries and the query heads of the KV head
 *     s[j]    max(m[j], mean of m) * share of the row's value norms that is this KV head's
 *
 * The released code takes the norms after the output projection, for one more product as large as that; here they are those of the values
 * themselves. It also has a first stage, which keeps the rows that make up most of a head's mean attention whatever their scores;
 * that is left out.
 *
 * The paper's Layer-DefensiveKV ranks the scores of all layers and heads at once, after the last layer, for which it holds the whole cache.
 * The allocator here does so as DynamicKV does: every few layers the whole budget goes to the highest scores of all heads seen so far,
 * counted by histograms. As further layers arrive the threshold only rises, so what is cut early would not have been kept, and no more is
 * ever held than the budget and what has arrived since.
 */
import {
  attention,
  defaultWindow,
  defineAllocator,
  definePolicy,
  defineScorer,
  floorAtMean,
  heldTopCounts,
  proportionalRows,
  valueNorm,
  z,
} from "ebb/policy";

const scorerOptions = z.strictObject({
  window: z.int().min(1).max(64).optional()
    .describe(
      "Last rows of the prompt whose queries score the others; they are always kept; where no default is set, 32 or half the budget, whichever is less",
    ),
  kernel: z.int().min(1).max(63).refine((width) => width % 2 === 1, "must be odd").default(5)
    .describe("Odd width of the pooling of each query's attention along the sequence; 1 pools nothing"),
});

/** The most that any query attends to a row; defaults as in the published experiments. */
export const defensiveScorer = defineScorer({
  name: "defensive",
  description:
    "Scores a row by the most attention that any of the last rows of the prompt pays to it, no less than the mean",
  options: scorerOptions,
  score: ({ budget }, { window = defaultWindow(32, budget), kernel }) => [
    attention({ window, reduce: { pooledMaximum: kernel } }),
    floorAtMean(),
    valueNorm({ by: "share" }),
  ],
});

const allocatorOptions = z.strictObject({
  maximumRatio: z.number().min(1).max(1000).default(5)
    .describe("Most rows of a KV head until the first sharing, as a multiple of the mean budget without the window"),
  interval: z.int().min(1).max(1024).default(2).describe("Layers between two sharings of the budget"),
  floor: z.number().min(0).max(1).default(0.1)
    .describe("Least rows of a KV head, as a share of the mean budget without the window"),
});

/** DynamicKV's competition, among the KV heads of all layers: one threshold for all, in rows rather than blocks. */
export const dynamickvHeadsAllocator = defineAllocator({
  name: "dynamickv-heads",
  description: "Lets the KV heads of all layers compete: each gets as much as it has scores among the highest of all",
  options: allocatorOptions,
  perHead: true,
  schedule: ({ base, scoredRows, layerCount, kvHeadCount }, { maximumRatio, interval }) => ({
    provisionalRows: Math.min(Math.floor(maximumRatio * base), scoredRows, base * layerCount * kvHeadCount),
    interval,
  }),
  allot(layers, { base, layerCount, kvHeadCount }, { floor }) {
    const total = base * layerCount * kvHeadCount;
    const held = layers.flatMap(({ headRows }) => Array.from(headRows!));
    // Like DynamicKV's: one row always stays.
    const floorRows = floor === 0 ? 0 : Math.min(Math.max(1, Math.floor(floor * base)), base);
    const counts = heldTopCounts(
      layers.flatMap(({ headHistograms }) => headHistograms!),
      held,
      held.map(() => floorRows),
      total,
    );
    return proportionalRows(counts, total, held);
  },
});

/** DefensiveKV, the KV heads of all layers competing for one budget. */
export default definePolicy({
  name: "defensive",
  description: "Keeps what any of the last rows attends to; the KV heads of all layers compete for one budget",
  scorer: defensiveScorer,
  allocator: dynamickvHeadsAllocator,
});
