/** @file The source `attention`: what the end of the prompt attends to. */
import { MAX_WINDOW } from "../../scores/limits.ts";
import { checkWindow, type StepRules } from "./step_rules.ts";

/** Attention that the queries of the last `window` rows pay to each earlier row. */
export interface Attention {
  readonly name: "attention";
  readonly window: number;
  /**
   * How the attention of all queries becomes a number for each KV head:
   * - `sum`: summed over the window, mean of the query heads that share the KV head (SnapKV);
   * - `group-maximum`: mean over the window, maximum of these query heads (LAVa);
   * - `varianceWeight`: mean over the window plus this multiple of the sample variance, mean of these query heads (CAKE); a
   *   single query has no variance.
   */
  readonly reduce: "sum" | "group-maximum" | { readonly varianceWeight: number };
}

/**
 * Scores a row by the attention that the last rows of the prompt pay to it.
 *
 * @param window last rows, which are always kept: 1 to 64
 * @param reduce how the attention of all queries becomes one number, see {@link Attention}; `sum` if not given
 */
export function attention({ window, reduce = "sum" }: Pick<Attention, "window"> & Partial<Attention>): Attention {
  return { name: "attention", window, reduce };
}

/** The pure half of {@link attention}. */
export const attentionRules: StepRules<Attention> = {
  role: "source",
  rankingAgain: "works",
  check({ window, reduce }, context) {
    checkWindow(window, context, MAX_WINDOW);
    if (reduce === "sum" || reduce === "group-maximum") return;
    const { varianceWeight } = reduce ?? {};
    if (!(varianceWeight >= 0 && varianceWeight < Infinity)) {
      throw new RangeError(
        `Attention must be reduced by "sum", "group-maximum" or a weight of the variance that is a number of at least 0, but by ` +
          JSON.stringify(reduce),
      );
    }
  },
  needs: () => ({ windowQueries: true }),
};
