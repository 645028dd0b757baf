/** @file The modifier `protect`: rows that are kept, whatever their scores. */
import type { PromptRange } from "../../contract/generation.ts";
import type { StepRules } from "./step_rules.ts";

/** Rows of the prompt that rank before all others, and that every layer has room for. */
export interface Protect {
  readonly name: "protect";
  readonly ranges: readonly PromptRange[];
}

/**
 * Keeps rows of the prompt in every layer and counts them within the budget; where they are more than a layer's mean budget has
 * room for, the first ones. The last step of a score.
 *
 * @param ranges such as some of the context's `messages`; rows beyond the prompt's end are no error, for messages can be cut short
 */
export function protect(ranges: readonly PromptRange[]): Protect {
  return { name: "protect", ranges: ranges.map(({ start, end }) => ({ start, end })) };
}

/** How many of the first `scored` rows a step protects. */
export function protectedRows({ ranges }: Protect, scored: number): number {
  let [rows, last] = [0, 0];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const first = Math.max(start, last);
    const behind = Math.min(end, scored);
    if (behind <= first) continue;
    rows += behind - first;
    last = behind;
  }
  return rows;
}

/** The pure half of {@link protect}. */
export const protectRules: StepRules<Protect> = {
  role: "modifier",
  // Which rows they are is found by position.
  rankingAgain: "impossible",
  isLast: true,
  check({ ranges }) {
    const bad = ranges.find(({ start, end }) =>
      !(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end)
    );
    if (bad === undefined) return;
    throw new RangeError(
      `Protected rows must be whole numbers, the first one first, but are ${bad.start} to ${bad.end}`,
    );
  },
};
