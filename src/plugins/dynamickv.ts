/**
 * @file DynamicKV (Zhou et al., arXiv 2412.14838): the layers of a model compete for one budget of KV cache rows, and what
 * the end of the prompt attends to decides who wins.
 *
 * The last `window` queries of the prompt score every earlier row of a layer. A layer at first keeps its
 * `maximumRatio * base` best rows (`base` = budget - window, the mean of ranked rows per layer). Every `interval` layers the
 * whole budget `base * layerCount` is shared among the layers seen so far, each getting as much as it has scores among the
 * highest of all; budgets shrink as further layers arrive.
 *
 *   layers seen    4        8            16                 ...   all
 *   rows kept     [====]   [==][==]     [=][=][=][=]              always at most base * layerCount,
 *                                                                 plus what arrived since
 *
 * Two modes share this outline:
 *
 * `published` allots row for row what the authors' released code does, from the exact scores. It rounds down three times and
 * hands all that is lost on the way to the newest layer; its budgets can be 0; a layer whose budget exceeds what it holds
 * keeps what it holds, and the rest is lost. It departs from the released code in what is no budget: scores are those of KV
 * heads (group means), not of query heads; sequences never compete; where the released code would keep window rows twice, for
 * a budget larger than the rows held, here they are kept once; fractions are exact, and 0/0, where the code would fail, is 0;
 * and where the layers are no multiple of the interval, the last layers are not left out but shared among at the last one.
 *
 * `mended`, the default, needs histograms only. It takes the highest scores until the budget is spent, in whole blocks, with
 * a floor under each layer; what a full layer cannot take goes to the next best. Its schedule differs as well: the released
 * code asks how the rows would be shared if the layers seen were a model of their own, and so may cut rows that the last
 * sharing would have kept. Mended asks who would win if no further layer claimed anything. That is just as tight (the same
 * `base * layerCount` rows), but a layer's claim can then only shrink: no cut goes below what the last sharing grants, and
 * the interval trades nothing but memory for time.
 */
import {
  type AllocatorContext,
  BLOCK_ROWS,
  defineAllocator,
  definePolicy,
  exactTopCounts,
  type LayerScores,
  scoreDepth,
  shareRows,
  z,
} from "ebb/policy";
import { snapkvScorer } from "./snapkv.ts";

const options = z.strictObject({
  maximumRatio: z.number().min(1).max(1000).optional()
    .describe("Most rows of a layer, as a multiple of the mean budget without the window; 5, or 10 if published"),
  interval: z.int().min(1).max(1024).optional()
    .describe("Layers between two sharings of the budget; 2, or 4 if published"),
  mode: z.enum(["mended", "published"]).default("mended")
    .describe("Whether to mend the published rule's flaws or to reproduce its budgets row for row"),
  floor: z.number().min(0).max(1).optional()
    .describe("Least rows of a layer, as a share of the mean budget without the window; 0.1, and none if published"),
}).refine(({ mode, floor }) => mode === "mended" || floor === undefined, {
  path: ["floor"],
  error: 'the mode "published" has no floor, so leave it out or take "mended"',
});

/** The floor of the mended mode. */
const DEFAULT_FLOOR = 0.1;

/**
 * What the released scripts set, and what the mended mode sets in its place: up to two intervals of provisional rows are
 * held at once, beside a budget of `base * layerCount`, and neither change costs a row that the last sharing would keep
 * (no layer of the published profiles holds more than 5 times the mean).
 */
const DEFAULTS = { published: { maximumRatio: 10, interval: 4 }, mended: { maximumRatio: 5, interval: 2 } };

/** DynamicKV's allocator and schedule, from the paper's parameters. */
export const dynamickvAllocator = defineAllocator({
  name: "dynamickv",
  description: "Lets the layers compete for the budget: each gets as much as it has scores among the highest of all",
  options,
  schedule(context, { mode, interval = DEFAULTS[mode].interval, maximumRatio }) {
    return { provisionalRows: mostRows(context, mode, maximumRatio), interval, exactScores: mode === "published" };
  },
  allot: (layers, context, { mode, maximumRatio, floor = DEFAULT_FLOOR }) =>
    mode === "published"
      ? publishedRows(layers, context, mostRows(context, mode, maximumRatio))
      : mendedRows(layers, context, floor),
});

/** DynamicKV, with the window and pooling of its published experiments. */
export default definePolicy({
  name: "dynamickv",
  description: "Lets the layers compete for one budget by what the end of the prompt attends to",
  scorer: snapkvScorer,
  allocator: dynamickvAllocator,
  defaults: { window: 8, pooling: "average" },
});

/** Ranked rows that a layer holds until the first sharing. */
function mostRows(
  { base, scoredRows, layerCount }: AllocatorContext,
  mode: keyof typeof DEFAULTS,
  maximumRatio = DEFAULTS[mode].maximumRatio,
): number {
  const rows = Math.min(Math.floor(maximumRatio * base), scoredRows);
  return mode === "mended" ? Math.min(rows, base * layerCount) : rows;
}

function mendedRows(
  layers: readonly LayerScores[],
  { base, layerCount, kvHeadCount }: AllocatorContext,
  floor: number,
): Uint32Array {
  // In whole blocks, as a block that is part empty saves nothing. A share of less than half a block is no block: at small
  // budgets the floors would leave nothing to compete for. One row always stays, and never more than the mean, or they would
  // not fit.
  const blocks = Math.round(floor * base / BLOCK_ROWS);
  const floorRows = floor === 0 ? 0 : Math.min(Math.max(1, blocks * BLOCK_ROWS), base);
  const depths = layers.map(({ histogram }) => scoreDepth(histogram));
  return shareRows(
    base * layerCount,
    layers.map(({ heldRows }) => heldRows),
    layers.map(() => floorRows),
    // A row of a layer holds one score of each head.
    (layer, row) => depths[layer](row * kvHeadCount),
  );
}

function publishedRows(
  layers: readonly LayerScores[],
  { base, layerCount, kvHeadCount }: AllocatorContext,
  cap: number,
): number[] {
  const total = base * layerCount;
  const seen = layers.length;
  const top = exactTopCounts(layers.map(scoresOf), base * kvHeadCount * seen);
  const counts = Array.from(top, (count) => Math.floor(count / seen));
  if (seen === layerCount) counts[seen - 1] += base * kvHeadCount - sum(counts);

  const countSum = sum(counts);
  const shares = counts.map((count) => flooredRatio(cap * count, countSum));
  const shareSum = sum(shares);
  const budgets = shares.map((share) => flooredRatio(share * total, shareSum));
  budgets[seen - 1] += total - sum(budgets);
  return budgets.map((budget, layer) => Math.min(budget, layers[layer].heldRows));
}

function scoresOf({ scores }: LayerScores): Float32Array {
  if (!scores) throw new Error("DynamicKV's published mode needs the scores themselves");
  return scores;
}

function flooredRatio(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : Math.floor(numerator / denominator);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
