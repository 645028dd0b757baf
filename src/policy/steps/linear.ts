/**
 * @file The source `linear`: what queries of a kind would attend to, without asking any of them. The score of a row is one dot product of
 * its cached key, which is rotated, with a vector, and a weighted sum of the magnitudes of its rotary pairs:
 *
 *     s[kvHead][j] = vector[kvHead] . k_j + sum over pairs f of magnitudes[kvHead][f] * |k_j,f|
 *
 * The vectors come from the plugin, which is told of each layer what the queries of the prompt are like. With them Expected
 * Attention (arXiv 2510.00636, without its covariance), TriAttention and Q-Filters (arXiv 2503.02812) are a few lines each.
 */
import { attention } from "./attention.ts";
import { MAX_WINDOW } from "../../scores/limits.ts";
import type { LayerContext } from "../context.ts";
import type { QueryStatistics } from "./step_rules.ts";
import { checkWindow, type StepRules } from "./step_rules.ts";

/** What a layer's scores are made of. */
export interface Coefficients {
  /** `[kvHead][headSize]` */
  readonly vectors: ArrayLike<number>;
  /** `[kvHead][headSize / 2]`; 0 if not given. */
  readonly magnitudes?: ArrayLike<number>;
}

/** Scores of keys by vectors that the host computes of each layer. */
export interface Linear {
  readonly name: "linear";
  readonly window: number;
  readonly coefficients: (queries: QueryStatistics, context: LayerContext) => Coefficients;
}

/**
 * Scores a row by a dot product of its key with a vector of its KV head. Such scores can be negative. Each layer waits for the
 * vectors, about as long as a token takes.
 *
 * @param window last rows, which are always kept
 * @param coefficients of a layer; called once for each
 */
export function linear({ window, coefficients }: Pick<Linear, "window" | "coefficients">): Linear {
  return { name: "linear", window, coefficients };
}

/** Elements of what the host computes, for each KV head: its vector, then its magnitudes. */
export function linearWords(headSize: number): number {
  return headSize + headSize / 2;
}

/** The pure half of {@link linear}. */
export const linearRules: StepRules<Linear> = {
  role: "source",
  rankingAgain: "impossible",
  otherwiseGenerated: ({ window }) => attention({ window: Math.min(window, MAX_WINDOW) }),
  givesNegative: () => true,
  check({ window, coefficients }, context) {
    checkWindow(window, context);
    if (typeof coefficients !== "function") throw new TypeError("The coefficients of linear() must be a function");
  },
  needs: () => ({ layerQueries: true }),
  host: {
    inputs: () => ["queryStatistics"],
    compute: ({ coefficients }, { queryStatistics }, context) => {
      const { kvHeadCount, headSize } = context;
      const { vectors, magnitudes } = coefficients(queryStatistics!, context);
      const words = linearWords(headSize);
      const computed = new Float32Array(kvHeadCount * words);
      const fill = (what: string, values: ArrayLike<number>, each: number, at: number) => {
        const expected = kvHeadCount * each;
        if (values?.length !== expected) {
          throw new RangeError(
            `linear() must have ${expected} ${what}, ${each} for each KV head, but has ${values?.length}`,
          );
        }
        for (let i = 0; i < expected; i++) {
          if (!Number.isFinite(values[i])) {
            throw new RangeError(`The ${what} of linear() must be numbers, but number ${i} is ${values[i]}`);
          }
          computed[Math.floor(i / each) * words + at + i % each] = values[i];
        }
      };
      fill("elements of vectors", vectors, headSize, 0);
      if (magnitudes !== undefined) fill("magnitudes", magnitudes, headSize / 2, headSize);
      return computed;
    },
  },
};
