/**
 * @file The fence around policies: whatever a policy returns or throws, the engine gets numbers it can use.
 */
import { checkedBudgets, rankedBudget, uniformBudgets } from "../cache/budgets.ts";
import type {
  LayerScores,
  ObservationWindow,
  Policy,
  PolicyContext,
  RankingScorer,
  Scorer,
  SequencePolicy,
} from "./policy.ts";

/** What a sequence gets whose policy could not even be started: uniform budgets, scored as SnapKV does. */
const FALLBACK_SCORER = { name: "observation-window", window: 8, kernel: 7, pooling: "average" } as const;

/**
 * Starts a policy on a sequence. The result never throws, and every number it returns is possible and within the budget. A
 * policy that throws or returns nonsense is asked no more: for the rest of the prompt all layers get the same.
 *
 * @param onFallback Told why, at most once for each sequence
 * @returns `null` where every row is to be kept
 */
export function startPolicy(
  policy: Policy,
  context: PolicyContext,
  options: Readonly<Record<string, unknown>>,
  onFallback: (reason: string) => void,
): SequencePolicy | null {
  try {
    const started = policy.start(context, options);
    if (started === null) return null;
    return new GuardedPolicy(started, checkedScorer(started.scorer, context), context, onFallback);
  } catch (error) {
    onFallback(reasonOf(error));
    if (context.promptLength - FALLBACK_SCORER.window <= rankedBudget(context.budget, FALLBACK_SCORER.window)) {
      return null;
    }
    return new GuardedPolicy(null, FALLBACK_SCORER, context, onFallback);
  }
}

class GuardedPolicy implements SequencePolicy {
  readonly exactScores: boolean;
  readonly attentionStatistics: boolean;
  readonly perHead: boolean;
  readonly #base: number;
  readonly #scoredRows: number;
  /** `null` once it has failed. */
  #policy: SequencePolicy | null;

  constructor(
    policy: SequencePolicy | null,
    readonly scorer: RankingScorer,
    private readonly context: PolicyContext,
    private readonly onFallback: (reason: string) => void,
  ) {
    this.#policy = policy;
    this.exactScores = policy?.exactScores === true;
    this.attentionStatistics = policy?.attentionStatistics === true;
    this.perHead = policy?.perHead === true;
    this.#base = rankedBudget(context.budget, scorer.window);
    this.#scoredRows = context.promptLength - scorer.window;
  }

  provisionalRows(layer: number): number {
    return this.#ask((policy) => {
      const rows = policy.provisionalRows(layer);
      if (!Number.isInteger(rows) || rows < 0 || rows > this.#scoredRows) {
        throw new RangeError(
          `The policy's provisional rows of layer ${layer} must be a whole number up to ${this.#scoredRows}, but are ${rows}`,
        );
      }
      return rows;
    }, () => Math.min(this.#base, this.#scoredRows));
  }

  isRebalanceDue(layer: number): boolean {
    if (layer === this.context.layerCount - 1) return true;
    return this.#ask((policy) => policy.isRebalanceDue(layer) === true, () => true);
  }

  allot(layers: readonly LayerScores[]): Uint32Array {
    const heads = this.perHead ? this.context.kvHeadCount : 1;
    const held = layers.flatMap(({ heldRows, headRows }) => this.perHead ? Array.from(headRows!) : [heldRows]);
    const total = this.#base * this.context.layerCount * heads;
    return this.#ask((policy) => {
      const checked = checkedBudgets(policy.allot(layers), held, total, heads);
      if (!checked.ok) throw new RangeError(checked.reason);
      return checked.rows;
    }, () => uniformBudgets(held, total));
  }

  #ask<T>(question: (policy: SequencePolicy) => T, uniform: () => T): T {
    if (this.#policy) {
      try {
        return question(this.#policy);
      } catch (error) {
        this.#policy = null;
        this.onFallback(reasonOf(error));
      }
    }
    return uniform();
  }
}

/** What each scorer has beside its window. */
const PARAMETER_CHECKS: {
  readonly [Name in RankingScorer["name"]]: (scorer: Extract<Scorer, { name: Name }>) => void;
} = {
  "observation-window": checkPooling,
  "read-ahead": ({ decay, lookups }) => {
    if (!(decay >= 0 && decay < 1)) {
      throw new RangeError(`The scorer's decay must be a number from 0 to less than 1, but is ${decay}`);
    }
    if (!Number.isInteger(lookups) || lookups < 0) {
      throw new RangeError(`The scorer's lookups must be a whole number, but are ${lookups}`);
    }
  },
  "attention-sums": () => {},
  recency: ({ sinks }) => {
    if (!Number.isInteger(sinks) || sinks < 0) {
      throw new RangeError(`The scorer's sinks must be a whole number of rows, but are ${sinks}`);
    }
  },
  "key-norm": () => {},
  "key-difference": () => {},
};

function checkedScorer(scorer: Scorer, { promptLength }: PolicyContext): RankingScorer {
  if (scorer === undefined || scorer.name === "none" || !Object.hasOwn(PARAMETER_CHECKS, scorer.name)) {
    throw new TypeError(`The policy compresses, but its scorer "${scorer?.name}" ranks nothing`);
  }
  const { window } = scorer;
  if (!Number.isInteger(window) || window < 1 || window >= promptLength) {
    throw new RangeError(`The scorer's window must be a whole number from 1 to ${promptLength - 1}, but is ${window}`);
  }
  (PARAMETER_CHECKS[scorer.name] as (scorer: RankingScorer) => void)(scorer);
  return scorer;
}

function checkPooling(scorer: ObservationWindow): void {
  const { kernel, pooling, varianceWeight, groupMaximum, valueNorm } = scorer;
  if (!Number.isInteger(kernel) || kernel < 1 || kernel % 2 === 0) {
    throw new RangeError(`The scorer's kernel must be an odd whole number, but is ${kernel}`);
  }
  if (pooling !== "average" && pooling !== "maximum") {
    throw new RangeError(`The scorer's pooling must be "average" or "maximum", but is "${pooling}"`);
  }
  if (varianceWeight !== undefined && !(varianceWeight >= 0 && varianceWeight < Infinity)) {
    throw new RangeError(
      `The scorer's weight of the variance must be a number of at least 0, but is ${varianceWeight}`,
    );
  }
  if (varianceWeight !== undefined && groupMaximum) {
    throw new RangeError("The scorer can weigh the variance or take the group's maximum, but not both");
  }
  if (valueNorm !== undefined && valueNorm !== "row" && valueNorm !== "head") {
    throw new RangeError(`The scorer's value norm must be "row" or "head", but is "${valueNorm}"`);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
