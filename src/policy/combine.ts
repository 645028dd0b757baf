/** @file Makes a policy of a scorer and an allocator: they share the budget and the options, and know nothing of each other. */
import type { z } from "zod";
import { rankedBudget } from "../cache/budgets.ts";
import type { AllocatorPlugin, Policy, ScorerPlugin } from "./policy.ts";

/**
 * The policy that scores with one plugin and allots with the other. It takes the options of both. A prompt whose rows beside
 * the window are no more than the budget leaves for them is kept whole.
 *
 * @param defaults options whose default differs from the plugins' own
 */
export function combine(
  scorer: ScorerPlugin,
  allocator: AllocatorPlugin,
  { name, description, defaults = {} }: {
    readonly name: string;
    readonly description: string;
    readonly defaults?: Readonly<Record<string, unknown>>;
  },
): Policy {
  const shape = { ...scorer.options.shape, ...allocator.options.shape } as Record<string, z.ZodType>;
  for (const [option, value] of Object.entries(defaults)) {
    const { description } = shape[option];
    shape[option] = shape[option].default(value);
    if (description !== undefined) shape[option] = shape[option].describe(description);
  }
  const options = scorer.options.extend(shape) as z.ZodObject;
  return {
    name,
    apiVersion: 1,
    description,
    scorer: scorer.name,
    allocator: allocator.name,
    ranksAgain: scorer.ranksAgain && !allocator.perHead,
    options,
    start(context, given) {
      const parsed = options.parse(given);
      const started = scorer.start(context, parsed);
      const base = rankedBudget(context.budget, started.window);
      const scoredRows = context.promptLength - started.window;
      if (scoredRows <= base) return null;
      return {
        scorer: started,
        perHead: allocator.perHead,
        ...allocator.start({ ...context, base, scoredRows }, parsed),
      };
    },
  };
}
