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
   *   single query has no variance;
   * - `pooledMaximum`: the attention of each query is pooled first, an odd number of rows wide, by sharing what a row gets evenly
   *   among the rows within reach, so that none of it is lost; then the maximum of all queries of these query heads (DefensiveKV).
   *   1 pools nothing.
   */
  readonly reduce:
    | "sum"
    | "group-maximum"
    | { readonly varianceWeight: number }
    | { readonly pooledMaximum: number };
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

/** Rows over which the attention of each query is pooled before its maximum is taken; `null` where none is. */
export function poolingWidth({ reduce }: Attention): number | null {
  return typeof reduce === "object" && reduce !== null && "pooledMaximum" in reduce ? reduce.pooledMaximum : null;
}

/** Widest pooling of each query's attention: a workgroup of the GPU computes the rows within reach of its own as well. */
const MAX_POOLING = 63;

/** The pure half of {@link attention}. */
export const attentionRules: StepRules<Attention> = {
  role: "source",
  rankingAgain: "works",
  inOrderOfRank: (step) => poolingWidth(step) === null ? step : { ...step, reduce: { pooledMaximum: 1 } },
  check(step, context) {
    const { window, reduce } = step;
    checkWindow(window, context, MAX_WINDOW);
    if (reduce === "sum" || reduce === "group-maximum") return;
    const width = poolingWidth(step);
    if (width !== null) {
      if (Number.isInteger(width) && width >= 1 && width <= MAX_POOLING && width % 2 === 1) return;
      throw new RangeError(
        `Attention must be pooled over an odd number of rows from 1 to ${MAX_POOLING} before its maximum is taken, but is over ${width}`,
      );
    }
    const { varianceWeight } = reduce as { readonly varianceWeight: number } ?? {};
    if (!(varianceWeight >= 0 && varianceWeight < Infinity)) {
      throw new RangeError(
        `Attention must be reduced by "sum", "group-maximum", a weight of the variance that is a number of at least 0 or a ` +
          `pooled maximum, but by ${JSON.stringify(reduce)}`,
      );
    }
  },
  isAttention: ({ reduce }) => reduce === "sum",
  needs: () => ({ windowQueries: true }),
};
