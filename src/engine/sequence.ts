/**
 * @file One generation on its way through the engine: waiting, prefilling, running, finished. What is known of it is kept in
 * notebooks, each with a file of its own:
 *
 *     forecast    its policy at work, how it evicts, and what it was promised       forecast.ts, eviction.ts
 *     tokens      how far its tokens have come                                      token_progress.ts
 *     residence   from admission to its end: its slot, its blocks                   residence.ts, admission.ts
 *     constraint  what its tokens are bound to                                      constraint.ts
 *     budgets     the scores of its layers, and what its policy makes of them       layer_budgets.ts
 */
import type { GeneratedToken, GenerationRequest } from "../contract/generation.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import { Constraint } from "./constraint.ts";
import type { DecodeEviction } from "./eviction.ts";
import type { Forecast } from "./forecast.ts";
import { LayerBudgets } from "./layer_budgets.ts";
import type { Residence } from "./residence.ts";
import { TokenProgress } from "./token_progress.ts";

/** Why uniform budgets took the place of a sequence's policy; undefined while they have not. */
export interface Fallback {
  reason: string | undefined;
}

export class Sequence {
  readonly tokens: TokenProgress;
  /** `null` lets any token come. */
  readonly constraint: Constraint | null;
  readonly budgets: LayerBudgets;
  /** A drawn token that counts only once it is known what follows it. */
  asked: GeneratedToken | null = null;
  isFinished = false;
  /** Time that it waited for admission, in seconds. */
  waitedSeconds = 0;
  readonly #queued = performance.now();
  /** Rows of the prompt that came from the prefix cache. */
  cachedRows = 0;
  /** Scores of its prompt, so far, that were no numbers of at least 0, by the kernel of a plugin. */
  unusableScores = 0;
  /** How often rows have been evicted while tokens were generated. */
  evictions = 0;
  #residence: Residence | null = null;

  constructor(
    readonly id: number,
    readonly request: GenerationRequest,
    readonly forecast: Forecast,
    readonly fallback: Fallback,
  ) {
    this.tokens = new TokenProgress(request);
    this.constraint = Constraint.of(request);
    this.budgets = new LayerBudgets(forecast.context.kvHeadCount);
  }

  get context(): PolicyContext {
    return this.forecast.context;
  }

  /** `null` keeps every row of the prompt. */
  get policy(): SequencePolicy | null {
    return this.forecast.policy;
  }

  /** Whether steps can be recorded without knowing the tokens before. What was evicted meanwhile could not be undone. */
  get runsAhead(): boolean {
    return this.constraint === null || (this.constraint.runsAhead && this.eviction === null);
  }

  /** Whether the next step can be recorded. */
  get isReady(): boolean {
    return this.tokens.remaining > 0 && this.constraint?.isReady !== false;
  }

  /** `null` keeps every row generated. */
  get eviction(): DecodeEviction | null {
    return this.forecast.eviction;
  }

  /** Whether its blocks can be shared: it keeps every row where it is. */
  get keepsRows(): boolean {
    return this.policy === null && this.eviction === null;
  }

  /** @throws {Error} before admission and after the end */
  get residence(): Residence {
    if (this.#residence === null) throw new Error(`Sequence ${this.id} has not been admitted, or has ended`);
    return this.#residence;
  }

  /** Gives the sequence its residence at admission, and takes it at the end: for admission.ts alone. */
  reside(residence: Residence | null): void {
    this.#residence = residence;
    if (residence !== null) this.waitedSeconds = (performance.now() - this.#queued) / 1000;
  }

  /** Rows that each layer holds; the mean of its KV heads. */
  get rowsPerLayer(): number[] {
    return this.residence.cache.rowsPerLayer(this.context.kvHeadCount);
  }

  /** Rows at the end of the prompt that are kept beside the ranked ones; 0 where nothing is ranked. */
  get window(): number {
    return this.policy?.window ?? 0;
  }

  /** Rows of the prompt before the window. */
  get scoredRows(): number {
    return this.request.prompt.length - this.window;
  }
}
