/** @file The source `random`: rows by lot, whatever they hold. */
import { checkWindow, type StepRules } from "./step_rules.ts";

/** A number from 0 to 1 for each row of each KV head, of the seed, the layer, the head and where the row lies. */
export interface Random {
  readonly name: "random";
  readonly window: number;
  readonly seed: number;
}

/**
 * Scores rows by lot, each KV head by lots of its own: every set of rows is as likely to be kept as any other. The same seed draws the
 * same lots. Where rows are ranked again while tokens are generated they lie in order of rank, and each gets a new one.
 *
 * @param window last rows, which are always kept
 * @param seed 0 if not given
 */
export function random({ window, seed = 0 }: Pick<Random, "window"> & Partial<Random>): Random {
  return { name: "random", window, seed };
}

/** The pure half of {@link random}; see scores/row_lots.ts. */
export const randomRules: StepRules<Random> = {
  role: "source",
  rankingAgain: "works",
  check({ window, seed }, context) {
    checkWindow(window, context);
    if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32) return;
    throw new RangeError(`The score's seed must be a whole number from 0 to ${2 ** 32 - 1}, but is ${seed}`);
  },
};
