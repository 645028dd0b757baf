/**
 * @file The fence around policies: whatever a policy returns or throws, the engine gets numbers it can use.
 */
import { checkedBudgets, rankedBudget, uniformBudgets, withFloors } from "../cache/budgets.ts";
import type { LayerContext, PolicyContext } from "./context.ts";
import { keptShare, smallestBudget } from "./mass_budget.ts";
import type { LayerScores, Policy, SequencePolicy, StartedPolicy } from "./policy.ts";
import {
  allSteps,
  checkScore,
  type HostStep,
  hostStepsOf,
  needsOf,
  NotRunnableError,
  protectedRowsOf,
  type Score,
  windowOf,
} from "./steps.ts";
import { attention } from "./steps/attention.ts";
import { pool } from "./steps/pool.ts";
import { recency } from "./steps/recency.ts";
import type { HostInputs, ScoreNeeds } from "./steps/step_rules.ts";

/** What a sequence gets whose policy could not even be started: uniform budgets, scored as SnapKV does. */
const FALLBACK_SCORE = [attention({ window: 8 }), pool({ width: 7, by: "average" })];

/** First rows that are kept where a score fails in the middle of a prompt, besides the last ones. */
const FALLBACK_SINKS = 4;

/**
 * Starts a policy on a sequence. The result never throws, and every number it returns is possible and within the budget. A
 * policy that throws or returns nonsense is asked no more: for the rest of the prompt all layers get the same.
 *
 * @param onFallback Told why, at most once for each sequence
 * @param runnable see {@link PolicyRegistry.runnable}
 * @param mass share of what the scores add up to that is enough: the last sharing is of the smallest budget that keeps it
 * @returns `null` where every row is to be kept
 * @throws {NotRunnableError} if the engine can never compute its score
 */
export function startPolicy(
  policy: Pick<Policy, "name" | "start">,
  context: PolicyContext,
  options: Readonly<Record<string, unknown>>,
  onFallback: (reason: string) => void,
  runnable: (score: Score) => Score = (score) => score,
  mass: number | null = null,
): SequencePolicy | null {
  try {
    const started = policy.start(context, options);
    if (started === null) return null;
    checkScore(started.score, context);
    return new GuardedPolicy(started, runnable(started.score), context, onFallback, mass);
  } catch (error) {
    if (error instanceof NotRunnableError) {
      throw new NotRunnableError(`The KV cache policy "${policy.name}" ${error.message}`);
    }
    onFallback(reasonOf(error));
    const window = windowOf(FALLBACK_SCORE);
    if (context.promptLength - window <= rankedBudget(context.budget, window)) return null;
    return new GuardedPolicy(null, FALLBACK_SCORE, context, onFallback, null);
  }
}

class GuardedPolicy implements SequencePolicy {
  readonly exactScores: boolean;
  readonly attentionStatistics: boolean;
  readonly perHead: boolean;
  readonly window: number;
  readonly needs: ScoreNeeds;
  readonly #base: number;
  readonly #scoredRows: number;
  /** What the policy itself has asked for, by layer: it is shown no more rows than that. */
  readonly #ownProvisionalRows: number[] = [];
  /** Rows that every layer has room for: those that the score protects, as far as the budget reaches. */
  readonly #floor: number;
  readonly hostSteps: readonly HostStep[];
  readonly hasKernel: boolean;
  found: SequencePolicy["found"] = null;
  #score: Score;
  /** `null` once it has failed. */
  #policy: StartedPolicy | null;

  constructor(
    policy: StartedPolicy | null,
    score: Score,
    private readonly context: PolicyContext,
    private readonly onFallback: (reason: string) => void,
    private readonly mass: number | null,
  ) {
    this.#policy = policy;
    this.#score = score;
    this.hostSteps = hostStepsOf(score);
    this.hasKernel = allSteps(score).some(({ name }) => name === "wgsl");
    this.exactScores = policy?.exactScores === true;
    this.attentionStatistics = policy?.attentionStatistics === true;
    this.perHead = policy?.perHead === true;
    this.window = windowOf(score);
    this.needs = needsOf(score);
    this.#base = rankedBudget(context.budget, this.window);
    this.#scoredRows = context.promptLength - this.window;
    this.#floor = Math.min(protectedRowsOf(score, this.#scoredRows), this.#base);
  }

  get score(): Score {
    return this.#score;
  }

  get hasFailed(): boolean {
    return this.#policy === null;
  }

  computeOnHost(step: HostStep, inputs: HostInputs, context: LayerContext): Float32Array<ArrayBuffer> | null {
    return this.#ask(() => step.compute(inputs, context), () => null);
  }

  provisionalRows(layer: number): number {
    return this.#ask((policy) => {
      const rows = policy.provisionalRows(layer);
      if (!Number.isInteger(rows) || rows < 0 || rows > this.#scoredRows) {
        throw new RangeError(
          `The policy's provisional rows of layer ${layer} must be a whole number up to ${this.#scoredRows}, but are ${rows}`,
        );
      }
      this.#ownProvisionalRows[layer] = rows;
      return Math.max(rows, this.#floor);
    }, () => Math.min(this.#base, this.#scoredRows));
  }

  isRebalanceDue(layer: number): boolean {
    if (layer === this.context.layerCount - 1) return true;
    return this.#ask((policy) => policy.isRebalanceDue(layer) === true, () => true);
  }

  allot(layers: readonly LayerScores[]): Uint32Array {
    const heads = this.perHead ? this.context.kvHeadCount : 1;
    const heldIn = (layers: readonly LayerScores[]) =>
      layers.flatMap(({ heldRows, headRows }) => this.perHead ? Array.from(headRows!) : [heldRows]);
    const held = heldIn(layers);
    const total = this.#base * this.context.layerCount * heads;
    return this.#ask((policy) => {
      const shown = this.#floor === 0 ? layers : layers.map((layer, i) => this.#asAskedFor(layer, i));
      const heldShown = heldIn(shown);
      const checked = checkedBudgets(policy.allot(shown), heldShown, total, heads);
      if (!checked.ok) throw new RangeError(checked.reason);
      if (this.mass === null || layers.length < this.context.layerCount) {
        return withFloors(checked.rows, held, this.#floor);
      }
      const allotted = (base: number) => {
        const checked = checkedBudgets(
          policy.allot(shown, base),
          heldShown,
          base * this.context.layerCount * heads,
          heads,
        );
        return checked.ok ? checked.rows : null;
      };
      const smallest = smallestBudget(this.mass, this.#base, checked.rows, allotted, this.#keptBy(layers));
      this.found = { rows: smallest.base + this.window, kept: smallest.kept };
      return smallest.rows;
    }, () => uniformBudgets(held, total));
  }

  /** The share of what all scores add up to that is kept by so many rows of each layer or head. */
  #keptBy(layers: readonly LayerScores[]): (rows: Uint32Array) => number {
    // The best rows of the heads of a layer are not told apart: counted as one, they are a little better than those kept.
    const rowsOfUnit = this.perHead ? 1 : this.context.kvHeadCount;
    return keptShare(
      layers.flatMap(({ histogram, headHistograms }) => this.perHead ? headHistograms! : [histogram]),
      rowsOfUnit,
    );
  }

  /** A layer without the rows that it holds only because they are protected. */
  #asAskedFor(layer: LayerScores, index: number): LayerScores {
    const most = this.#ownProvisionalRows[index] ?? Infinity;
    const { heldRows, headRows } = layer;
    return { ...layer, heldRows: Math.min(heldRows, most), headRows: headRows?.map((rows) => Math.min(rows, most)) };
  }

  #ask<T>(question: (policy: StartedPolicy) => T, uniform: () => T): T {
    if (this.#policy) {
      try {
        return question(this.#policy);
      } catch (error) {
        this.#policy = null;
        // What queries another score would ask has not been kept for it.
        if (this.hostSteps.length > 0) this.#score = [recency({ window: this.window, sinks: FALLBACK_SINKS })];
        this.onFallback(reasonOf(error));
      }
    }
    return uniform();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
