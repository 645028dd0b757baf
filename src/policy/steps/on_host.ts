/** @file The source `onHost`: scores computed in TypeScript, for a first try. */
import { attention } from "./attention.ts";
import type { LayerContext } from "../context.ts";
import { MAX_WINDOW } from "../../scores/limits.ts";
import { checkWindow, type HostInput, type HostInputs, type StepRules } from "./step_rules.ts";

/** What a layer's rows are, as far as it was asked for. */
export type HostRows = Omit<HostInputs, "queryStatistics">;

/** Scores that a function computes from what is read back from the GPU. */
export interface OnHost {
  readonly name: "onHost";
  readonly window: number;
  readonly needs: readonly Exclude<HostInput, "queryStatistics">[];
  readonly score: (rows: HostRows, context: LayerContext) => ArrayLike<number>;
}

const NEEDS: readonly unknown[] = ["keys", "values", "attention"];

/**
 * Scores rows in plain TypeScript. Slow: every layer waits until all that is needed has been read back, megabytes for a long
 * prompt, and nothing else runs while it is computed. What one writes before one writes it well.
 *
 * @param window last rows, which are always kept
 * @param needs what is read back: `keys`, `values`, and `attention`, the sums of what the window's rows pay to each row
 * @param score the scores `[kvHead][row]` of all rows before the window, `context.scoredRows` for each KV head. What is no number
 * of at least 0 counts as 0
 */
export function onHost({ window, needs, score }: Pick<OnHost, "window" | "needs" | "score">): OnHost {
  return { name: "onHost", window, needs, score };
}

/** The pure half of {@link onHost}. */
export const onHostRules: StepRules<OnHost> = {
  role: "source",
  rankingAgain: "impossible",
  otherwiseGenerated: ({ window }) => attention({ window: Math.min(window, MAX_WINDOW) }),
  check({ window, needs, score }, context) {
    checkWindow(window, context, needs?.includes("attention") ? MAX_WINDOW : Infinity);
    if (typeof score !== "function") throw new TypeError("The score of onHost() must be a function");
    const unknown = needs.find((need) => !NEEDS.includes(need));
    if (unknown === undefined) return;
    throw new RangeError(`onHost() can need ${NEEDS.join(", ")}, but needs ${JSON.stringify(unknown)}`);
  },
  needs: ({ needs }) => ({ windowQueries: needs.includes("attention") }),
  host: {
    inputs: ({ needs }) => needs,
    compute({ score }, rows, context) {
      const scores = score(rows, context);
      const expected = context.kvHeadCount * context.scoredRows;
      if (scores?.length !== expected) {
        throw new RangeError(
          `The score of onHost() must be ${expected} numbers, ${context.scoredRows} for each KV head, but is ${scores?.length}`,
        );
      }
      return Float32Array.from(scores, (value) => value >= 0 && value < Infinity ? value : 0);
    },
  },
};
