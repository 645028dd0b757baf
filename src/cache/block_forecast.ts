/**
 * @file How many blocks a sequence can come to need, for admission.
 */
import { BLOCK_ROWS, blocksFor } from "./block.ts";
import { rankedBudget } from "./budgets.ts";

/** A prompt, the budget of its rows, and the model's shape. */
export interface PromptShape {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  /** Tokens of the prompt. */
  readonly promptLength: number;
  /** Mean rows per layer, window included. */
  readonly budget: number;
}

/** When the rows of a prompt are ranked and shared, and how many there are by then. */
export interface SharingSchedule {
  /** Rows at the end of the prompt that are kept beside the ranked ones. */
  readonly window: number;
  /** Whether rows are allotted to every KV head of a layer. */
  readonly perHead: boolean;
  /** `[layerCount]`, in the order in which layers are prefilled. */
  readonly layers: readonly LayerSchedule[];
}

/** What happens to a layer once it has been scored. */
export interface LayerSchedule {
  /** Ranked rows that it gets. */
  readonly provisionalRows: number;
  /** Whether the budget is then shared among the layers so far. */
  readonly isShared: boolean;
}

/**
 * The most blocks that a sequence can hold at once, from its first layer to its last token, whatever its scores are.
 *
 * Scores reach the host while the next layers are prefilled, so a sharing takes effect one interval late: by the next one,
 * the layers of two intervals can hold all of their provisional rows.
 *
 *     layers    settled: shared among | shared among, not cut yet | arrived since
 *
 * Where rows are allotted to every head, layers are packed, one after the other: the blocks that the next one moves to come on
 * top of what all hold.
 *
 * @param schedule `null` keeps every row of the prompt
 * @param newRows Rows that are generated at most
 */
export function forecastBlocks(
  { layerCount, kvHeadCount, promptLength, budget }: PromptShape,
  schedule: SharingSchedule | null,
  newRows: number,
): number {
  if (schedule === null) return layerCount * blocksFor(promptLength + newRows);

  const { window, perHead } = schedule;
  const base = rankedBudget(budget, window);
  const total = base * layerCount;
  /** Blocks of ranked rows, at most, in these three groups of layers. */
  let settled = 0;
  let uncut = 0;
  let arrived = 0;
  /** Layers of the first two. */
  let sharedLayers = 0;
  let peak = 0;
  /** Blocks of `rows` ranked rows in some layers, at worst: every layer, or every head, ends one row into a block or slot. */
  const mostBlocks = (rows: number, layers: number) => {
    const unused = perHead ? 1 - 1 / kvHeadCount : 0;
    return Math.floor((rows + layers * (BLOCK_ROWS - 1)) / BLOCK_ROWS + layers * unused);
  };
  const settle = () => {
    settled = Math.min(settled + uncut, mostBlocks(total, sharedLayers));
  };
  /** The most blocks that one layer is given. */
  let largest = 0;
  for (const [layer, { provisionalRows, isShared }] of schedule.layers.entries()) {
    // A policy that fails is replaced by uniform budgets, shared after every layer: reckon with those too.
    const blocks = blocksFor(Math.max(provisionalRows, base));
    arrived += blocks;
    largest = Math.max(largest, blocks);
    peak = Math.max(peak, settled + uncut + arrived + (layer + 1) * blocksFor(window));
    if (!isShared) continue;
    settle();
    uncut = arrived;
    arrived = 0;
    sharedLayers = layer + 1;
  }
  settle();
  if (perHead) peak += Math.min(largest, mostBlocks(total, 1));
  return Math.max(peak, settled + layerCount * blocksFor(window + newRows));
}

/**
 * The same for a sequence that leaves its prompt's rows alone and, after every `interval` generated ones, shares the budget among
 * the generated rows. An eviction gives no layer more blocks than it has.
 *
 * @param window generated rows that an eviction keeps beside the ranked ones
 */
export function forecastProtectingBlocks(
  shape: PromptShape,
  schedule: SharingSchedule | null,
  window: number,
  interval: number,
): number {
  // At worst every layer ends one row into a block of its own.
  const most = rankedBudget(shape.budget, window) + window + interval + BLOCK_ROWS - 1;
  return forecastBlocks(shape, schedule, most);
}

/**
 * The same for a sequence that, while tokens are generated, shares its budget anew after every `interval` rows.
 *
 * An eviction first puts rows into the blocks where they were, and cuts layers only when the policy has seen all scores: until
 * then a layer may hold all of its rows, ranked in one part of its blocks instead of two.
 *
 * @param schedule of the prompt; `null` keeps every row of it
 * @param window rows that an eviction keeps beside the ranked ones
 */
export function forecastEvictingBlocks(
  shape: PromptShape,
  schedule: SharingSchedule | null,
  window: number,
  interval: number,
): number {
  const { layerCount, promptLength, budget } = shape;
  const promptRows = schedule === null ? promptLength : rankedBudget(budget, schedule.window) + schedule.window;
  const base = rankedBudget(budget, window);
  /** Rows of a layer, on average, when it is evicted from. */
  const most = Math.max(promptRows, base + window) + interval;
  /** Blocks of ranked rows, so many to a layer on average; at worst every layer ends one row into a block of its own. */
  const shared = (rows: number) => Math.floor(layerCount * (rows + BLOCK_ROWS - 1) / BLOCK_ROWS);
  return Math.max(
    forecastBlocks(shape, schedule, interval),
    // A prompt that was kept whole has no ranked rows until it has been evicted from.
    layerCount * blocksFor(most),
    shared(base) + layerCount * blocksFor(window + interval),
    shared(most - window) + layerCount * blocksFor(window),
  );
}
