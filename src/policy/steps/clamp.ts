/** @file The modifier `clamp`: scores within bounds. */
import type { StepRules } from "./step_rules.ts";

/** Scores, but no less than `least` and no more than `most`. */
export interface Clamp {
  readonly name: "clamp";
  readonly least: number;
  readonly most: number;
}

/** The largest number of a score, as an f32: one that stands for no bound at all. */
const LARGEST = 2 ** 100;

/** Bounds scores. Both bounds are numbers; one that is not given bounds nothing. */
export function clamp({ least = -LARGEST, most = LARGEST }: Partial<Pick<Clamp, "least" | "most">>): Clamp {
  return { name: "clamp", least, most };
}

/** The pure half of {@link clamp}; see scores/row_formulas.ts. */
export const clampRules: StepRules<Clamp> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: () => true,
  givesNegative: ({ least, most }, given) => most < 0 || (given && least < 0),
  check({ least, most }) {
    if (Number.isFinite(least) && Number.isFinite(most) && least <= most) return;
    throw new RangeError(`Scores must be clamped to numbers, the least first, but are to ${least} and ${most}`);
  },
};
