/** @file How plugins are made: a scorer, an allocator, and a policy of the two. */
import { z } from "zod";
import { BLOCK_ROWS } from "../cache/block.ts";
import { rankedBudget } from "../cache/budgets.ts";
import type { PolicyContext } from "./context.ts";
import type { Allocator, AllocatorContext, LayerScores, Plugin, Policy, Scorer } from "./policy.ts";
import { ranksAgain, windowOf } from "./steps.ts";
import { uniformAllocator } from "./uniform.ts";

type Definition<Kind extends Plugin, Options extends z.ZodObject, Optional extends keyof Kind> =
  & Omit<Kind, "kind" | "options" | Optional>
  & Partial<Pick<Kind, Optional>>
  & { readonly options?: Options };

/** What {@link defineScorer} takes. */
export type ScorerDefinition<Options extends z.ZodObject> = Definition<Scorer<Options>, Options, never>;
/** What {@link defineAllocator} takes. */
export type AllocatorDefinition<Options extends z.ZodObject> = Definition<Allocator<Options>, Options, "perHead">;

/** What {@link definePolicy} takes: two halves, */
export interface Combination {
  readonly name: string;
  readonly description: string;
  readonly scorer: Scorer;
  /** Every layer gets the same if not given. */
  readonly allocator?: Allocator;
  /** Options whose default differs from the halves' own. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

/** or a score of its own. */
export interface OwnScore<Options extends z.ZodObject> extends Omit<Combination, "scorer"> {
  readonly options?: Options;
  score(context: PolicyContext, options: z.infer<Options>): ReturnType<Scorer["score"]>;
}

const NO_OPTIONS = z.strictObject({});

/**
 * A scorer, for policies to be combined of.
 *
 * @example
 * ```ts
 * import { defineScorer, keyNorm, z } from "ebb/policy";
 *
 * export const shortKeys = defineScorer({
 *   name: "short-keys",
 *   description: "Scores a row by how short its key is",
 *   options: z.strictObject({
 *     window: z.int().min(1).max(1024).default(8).describe("Last rows of the prompt, which are always kept"),
 *   }),
 *   score: (_context, { window }) => [keyNorm({ window })],
 * });
 * ```
 */
export function defineScorer<Options extends z.ZodObject = typeof NO_OPTIONS>(
  { options = NO_OPTIONS as unknown as Options, ...definition }: ScorerDefinition<Options>,
): Scorer<Options> {
  return { ...definition, options, kind: "scorer" };
}

/**
 * An allocator, for policies to be combined of.
 *
 * @example
 * ```ts
 * import { defineAllocator } from "ebb/policy";
 *
 * export const firstHalf = defineAllocator({
 *   name: "first-half",
 *   description: "Shares the budget among the first half of the layers",
 *   schedule: ({ base, scoredRows, layerCount }) => ({
 *     provisionalRows: Array.from(
 *       { length: layerCount },
 *       (_, layer) => layer < layerCount / 2 ? Math.min(2 * base, scoredRows) : 0,
 *     ),
 *     interval: layerCount,
 *   }),
 *   allot: (layers) => layers.map(({ heldRows }) => heldRows),
 * });
 * ```
 */
export function defineAllocator<Options extends z.ZodObject = typeof NO_OPTIONS>(
  { options = NO_OPTIONS as unknown as Options, perHead = false, ...definition }: AllocatorDefinition<Options>,
): Allocator<Options> {
  return { ...definition, options, perHead, kind: "allocator" };
}

/**
 * A policy: a scorer and an allocator, or a score of its own and an allocator. It takes the options of both halves. A prompt
 * whose rows beside the window are no more than the budget leaves for them is kept whole.
 *
 * @example
 * ```ts
 * import { attention, definePolicy, pool } from "ebb/policy";
 *
 * export default definePolicy({
 *   name: "last-eight",
 *   description: "Keeps what the last eight rows attend to, and its neighbours",
 *   score: () => [attention({ window: 8 }), pool({ width: 5, by: "maximum" })],
 * });
 * ```
 */
export function definePolicy<Options extends z.ZodObject = typeof NO_OPTIONS>(
  definition: Combination | OwnScore<Options>,
): Policy {
  const { name, description, allocator = uniformAllocator, defaults = {} } = definition;
  if ("scorer" in definition) {
    const { scorer } = definition;
    return { ...combined(scorer, allocator, { name, description, defaults }), scorer, allocator };
  }
  const { options, score } = definition;
  return combined(defineScorer<Options>({ name, description, options, score }) as unknown as Scorer, allocator, {
    name,
    description,
    defaults,
  });
}

/** Where it is asked whether a policy can rank again: an ordinary model and prompt. */
const ORDINARY: PolicyContext = {
  layerCount: 32,
  kvHeadCount: 8,
  headSize: 128,
  blockSize: BLOCK_ROWS,
  promptLength: 4096,
  budget: 512,
};

function combined(
  scorer: Scorer,
  allocator: Allocator,
  { name, description, defaults }: Required<Pick<Combination, "name" | "description" | "defaults">>,
): Policy {
  const options = optionsOf(scorer, allocator, defaults);
  return {
    kind: "policy",
    name,
    description,
    options,
    get ranksAgain() {
      if (allocator.perHead) return false;
      const score = scorer.score(ORDINARY, options.parse({}));
      return score !== null && ranksAgain(score);
    },
    start(context, given) {
      const parsed = options.parse(given);
      const score = scorer.score(context, parsed);
      if (score === null) return null;
      const window = windowOf(score);
      const base = rankedBudget(context.budget, window);
      const scoredRows = context.promptLength - window;
      if (scoredRows <= base) return null;
      return { score, ...started(allocator, { ...context, base, scoredRows }, parsed) };
    },
  };
}

/** The options of both halves, under the defaults of their combination. */
function optionsOf(scorer: Scorer, allocator: Allocator, defaults: Readonly<Record<string, unknown>>): z.ZodObject {
  const shape = { ...scorer.options.shape, ...allocator.options.shape } as Record<string, z.ZodType>;
  for (const [option, value] of Object.entries(defaults)) {
    const { description } = shape[option];
    shape[option] = shape[option].default(value);
    if (description !== undefined) shape[option] = shape[option].describe(description);
  }
  return scorer.options.extend(shape) as z.ZodObject;
}

/** An allocator at work on one sequence. */
function started(allocator: Allocator, context: AllocatorContext, options: Readonly<Record<string, unknown>>) {
  const { provisionalRows, interval, exactScores = false, attentionStatistics = false } = allocator.schedule(
    context,
    options,
  );
  return {
    perHead: allocator.perHead,
    exactScores,
    attentionStatistics,
    provisionalRows: (layer: number) => typeof provisionalRows === "number" ? provisionalRows : provisionalRows[layer],
    isRebalanceDue: (layer: number) => (layer + 1) % interval === 0 || layer + 1 === context.layerCount,
    allot: (layers: readonly LayerScores[]) => allocator.allot(layers, context, options),
  };
}
