/** @file How plugins are made: a scorer, an allocator, and a policy of the two. */
import { z } from "zod";
import { BLOCK_ROWS } from "../cache/block.ts";
import { rankedBudget } from "../cache/budgets.ts";
import { checkDefinition } from "./check_definition.ts";
import type { PolicyContext } from "./context.ts";
import type { Allocator, AllocatorContext, LayerScores, Plugin, Policy, PolicyRecipe, Scorer } from "./policy.ts";
import { isAttention, ranksAgain, type Score, scoreOfGenerated, windowOf } from "./steps.ts";
import { uniformAllocator } from "./uniform.ts";

/** What every definition may name. */
interface Versioned {
  /** The version of this interface that the plugin was written for; the present one if not given. */
  readonly api?: number;
}

type Definition<Kind extends Plugin, Options extends z.ZodObject, Optional extends keyof Kind> =
  & Omit<Kind, "kind" | "options" | Optional>
  & Partial<Pick<Kind, Optional>>
  & { readonly options?: Options }
  & Versioned;

/** What {@link defineScorer} takes. */
export type ScorerDefinition<Options extends z.ZodObject> = Definition<Scorer<Options>, Options, never>;
/** What {@link defineAllocator} takes. */
export type AllocatorDefinition<Options extends z.ZodObject> = Definition<Allocator<Options>, Options, "perHead">;

/** What {@link definePolicy} takes: two halves, */
export interface Combination extends Versioned {
  readonly name: string;
  readonly description: string;
  /** A scorer, or the name of one: Ebb's own, or another plugin's. */
  readonly scorer: Scorer | string;
  /** An allocator or its name; every layer gets the same if not given. */
  readonly allocator?: Allocator | string;
  /** Options whose default differs from the halves' own. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

/** or a score of its own. */
export interface OwnScore<Options extends z.ZodObject> extends Omit<Combination, "scorer"> {
  readonly options?: Options;
  score(context: PolicyContext, options: z.infer<Options>): ReturnType<Scorer["score"]>;
}

const NO_OPTIONS: z.ZodObject<Record<never, never>, z.core.$strict> = z.strictObject({});

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
  definition: ScorerDefinition<Options>,
): Scorer<Options> {
  checkDefinition("scorer", definition, ["score"]);
  const { name, description, options = NO_OPTIONS as unknown as Options, score } = definition;
  return { kind: "scorer", name, description, options, score };
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
  definition: AllocatorDefinition<Options>,
): Allocator<Options> {
  checkDefinition("allocator", definition, ["schedule", "allot"]);
  const { name, description, options = NO_OPTIONS as unknown as Options, perHead = false, schedule, allot } =
    definition;
  return { kind: "allocator", name, description, options, perHead, schedule, allot };
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
  checkDefinition("policy", definition, "scorer" in definition ? [] : ["score"]);
  const { name, description, allocator = uniformAllocator, defaults = {} } = definition;
  if ("scorer" in definition) {
    return policyOf({ name, description, scorer: definition.scorer, allocator, defaults, ownScore: false });
  }
  const { options, score } = definition;
  const scorer = defineScorer<Options>({ name, description, options, score }) as unknown as Scorer;
  return policyOf({ name, description, scorer, allocator, defaults, ownScore: true });
}

/** Makes a policy. One whose halves are named rather than given can only be listed until a registry has found them. */
export function policyOf(recipe: PolicyRecipe): Policy {
  const { name, description, scorer, allocator, ownScore } = recipe;
  if (typeof scorer === "string" || typeof allocator === "string") return openPolicy(recipe);
  // The halves of a policy with a score of its own are nobody else's business, but its allocator may be another's.
  const halves = ownScore ? {} : { scorer, allocator };
  return Object.assign(
    combined(scorer, allocator, recipe),
    { kind: "policy" as const, name, description, recipe },
    halves,
  );
}

function openPolicy(recipe: PolicyRecipe): Policy {
  const open = (): never => {
    throw new TypeError(`The policy "${recipe.name}" names a half of it, which only a registry can find`);
  };
  const { name, description } = recipe;
  return {
    kind: "policy",
    name,
    description,
    recipe,
    get options() {
      return open();
    },
    get ranksAgain() {
      return open();
    },
    get ranksGenerated() {
      return open();
    },
    get compresses() {
      return open();
    },
    get scoresAttention() {
      return open();
    },
    start: open,
  };
}

/** Where it is asked whether a policy can rank again: an ordinary model and prompt. */
const ORDINARY: PolicyContext = {
  layerCount: 32,
  kvHeadCount: 8,
  headSize: 128,
  blockSize: BLOCK_ROWS,
  promptLength: 4096,
  budget: 512,
  messages: [{ role: "prompt", start: 0, end: 4096 }],
};

function combined(
  scorer: Scorer,
  allocator: Allocator,
  { defaults }: Pick<PolicyRecipe, "defaults">,
): Pick<Policy, "options" | "ranksAgain" | "ranksGenerated" | "compresses" | "scoresAttention" | "start"> {
  const options = optionsOf(scorer, allocator, defaults);
  const isOrdinarily = (can: (score: Score) => boolean): boolean => {
    try {
      const score = scorer.score(ORDINARY, options.parse({}));
      return score !== null && can(score);
    } catch {
      // What it cannot do is told to whoever asks for it.
      return false;
    }
  };
  return {
    options,
    get ranksAgain() {
      return !allocator.perHead && isOrdinarily(ranksAgain);
    },
    get ranksGenerated() {
      return isOrdinarily((score) => scoreOfGenerated(score) !== null);
    },
    get compresses() {
      return isOrdinarily(() => true);
    },
    get scoresAttention() {
      return isOrdinarily(isAttention);
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
    if (!Object.hasOwn(shape, option)) {
      const known = Object.keys(shape).join(", ") || "none";
      throw new TypeError(
        `There is no option "${option}" to set a default for: ${scorer.name} and ${allocator.name} have ${known}`,
      );
    }
    const { description } = shape[option];
    shape[option] = shape[option].default(value);
    if (description !== undefined) shape[option] = shape[option].describe(description);
  }
  // What either half says of its options together holds for all of them; extend() would refuse or lose it.
  const together = [scorer.options, allocator.options].flatMap(({ def }) => def.checks ?? []);
  const { catchall } = scorer.options.def;
  const object = z.object(shape);
  return (catchall ? object.catchall(catchall) : object).check(
    ...together as z.core.$ZodCheck<Record<string, unknown>>[],
  );
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
    allot: (layers: readonly LayerScores[], base = context.base) =>
      allocator.allot(layers, { ...context, base, budget: context.budget - context.base + base }, options),
  };
}
