/**
 * @file CAKE (Qin et al., arXiv 2503.12491): layers whose attention is spread wide, or moves between the window's
 * rows, get more. The preference of a layer is
 *
 *     entropy^(1 / tau1) * variance^(1 / tau2)
 *
 * of the attention that the window's rows pay to those before. After every layer the whole budget is shared among the layers
 * so far in proportion to their preferences: a layer's share only falls as others arrive, so that no more than the budget and
 * what has just arrived is ever held.
 *
 * Where the released code shares what a full layer cannot take evenly among the others, here it is shared in proportion.
 *
 * Within a layer, rows matter that the end of the prompt attends to, and more so where its rows do not agree on that.
 */
import {
  attention,
  defaultWindow,
  defineAllocator,
  definePolicy,
  defineScorer,
  type LayerScores,
  pool,
  proportionalRows,
  z,
} from "ebb/policy";

const scorerOptions = z.strictObject({
  window: z.int().min(1).max(64).optional()
    .describe(
      "Last rows of the prompt whose queries score the others; they are always kept; where no default is set, 32 or half the budget, whichever is less",
    ),
  kernel: z.int().min(1).max(63).refine((width) => width % 2 === 1, "must be odd").default(5)
    .describe("Odd width of the pooling of scores along the sequence; 1 pools nothing"),
  gamma: z.number().min(0).max(1e6).default(200)
    .describe("Weight of the variance of attention across the window's rows, beside its mean"),
});

/** Mean plus weighted variance of the attention of the last queries. */
export const cakeScorer = defineScorer({
  name: "cake",
  description: "Scores a row by mean and variance of the attention that the last rows of the prompt pay to it",
  options: scorerOptions,
  score: ({ budget }, { window = defaultWindow(32, budget), kernel, gamma }) => [
    attention({ window, reduce: { varianceWeight: gamma } }),
    pool({ width: kernel, by: "average" }),
  ],
});

const allocatorOptions = z.strictObject({
  tau1: z.number().min(0.1).max(100).default(1).describe("Temperature of the entropy; the higher the less it counts"),
  tau2: z.number().min(0.1).max(100).default(1).describe(
    "Temperature of the variance; the higher the less it counts",
  ),
});

/**
 * The cascade. The published temperatures are tuned to a model and a budget, such as 1.6 and 0.6 for Llama 3.1 at 128 rows; the
 * defaults are the released code's for models that were not tuned.
 */
export const cakeAllocator = defineAllocator({
  name: "cake",
  description: "Gives a layer the more, the wider and the less steadily attention is spread in it",
  options: allocatorOptions,
  schedule: ({ base, scoredRows, layerCount }) => ({
    provisionalRows: Math.min(base * layerCount, scoredRows),
    interval: 1,
    attentionStatistics: true,
  }),
  allot: (layers, { base, layerCount }, { tau1, tau2 }) =>
    proportionalRows(
      layers.map((layer) => preference(layer, tau1, tau2)),
      base * layerCount,
      layers.map(({ heldRows }) => heldRows),
    ),
});

/** CAKE at the end of the prefill, with the defaults of its published experiments. */
export default definePolicy({
  name: "cake",
  description: "Shares the budget by how attention is spread in each layer, and keeps rows by its mean and variance",
  scorer: cakeScorer,
  allocator: cakeAllocator,
});

function preference({ statistics }: LayerScores, tau1: number, tau2: number): number {
  if (!statistics) throw new Error("CAKE needs statistics of the layer's attention");
  const preference = statistics.entropy ** (1 / tau1) * statistics.variance ** (1 / tau2);
  if (!Number.isFinite(preference)) {
    throw new RangeError(
      `A layer's attention has an entropy of ${statistics.entropy} and variance of ${statistics.variance}`,
    );
  }
  return preference;
}
