/**
 * @file What an eviction while tokens are generated leaves alone of the prompt.
 *
 * Models go on from what the prompt tells them: without it, all policies were found to fail alike, and with a tenth of the budget kept at
 * either end of it most was well again ("Protection is all you need", arXiv 2605.18053). With all of it kept, rows drawn by lot serve as
 * well as the best scores (Random Attention, arXiv 2609.03430).
 */
import type { DecodeProtection, PromptRange } from "../contract/generation.ts";
import type { Policy } from "../policy/policy.ts";
import { protect } from "../policy/steps/protect.ts";
import { protectLoudValues } from "../policy/steps/protect_loud_values.ts";

/** What is kept at either end of a prompt, as a share of the budget. */
const BOUNDARY_SHARE = 0.1;

/** How the rows of a layer lie before they are evicted for the first time. */
export interface PromptRows {
  /** Kept rows of the prompt, best first, those that are protected before all others; none where it was kept whole. */
  readonly ranked: number;
  /** The prompt's last rows, or all of it. */
  readonly recent: number;
}

export class Protection {
  /** Rows protected at either end of the prompt. */
  readonly boundary: number;

  constructor(
    readonly kind: DecodeProtection,
    { budget, promptLength }: { readonly budget: number; readonly promptLength: number },
  ) {
    this.boundary = kind === "boundaries" ? Math.min(Math.floor(BOUNDARY_SHARE * budget), promptLength >> 1) : 0;
  }

  /** Whether generated rows are ranked by themselves. */
  get leavesPrompt(): boolean {
    return this.kind === "prompt";
  }

  /** A policy that keeps what is protected when the prompt is read, so that it is there to be protected later. */
  ofPrompt(policy: Policy): Pick<Policy, "name" | "start"> {
    const { boundary } = this;
    if (boundary === 0) return policy;
    return withSteps(policy, ({ promptLength }) => [
      protect([{ start: 0, end: boundary }, { start: promptLength - boundary, end: promptLength }]),
    ]);
  }

  /** A policy of evictions. Rows with very large values are protected wherever any are. */
  ofEvictions(policy: Pick<Policy, "name" | "start">): Pick<Policy, "name" | "start"> {
    if (this.kind === "none") return policy;
    const { boundary } = this;
    const last = boundary === 0 ? [] : [protect([{ start: 0, end: 2 * boundary }])];
    return withSteps(policy, () => [protectLoudValues(), ...last]);
  }

  /** Where the protected rows lie among those of a layer that is evicted from for the first time; from then on they are the first. */
  firstRanges({ ranked, recent }: PromptRows): PromptRange[] {
    const { boundary } = this;
    if (ranked === 0) return [{ start: 0, end: boundary }, { start: recent - boundary, end: recent }];
    const inRecent = Math.min(boundary, recent);
    return [
      { start: 0, end: Math.min(ranked, 2 * boundary - inRecent) },
      { start: ranked + recent - inRecent, end: ranked + recent },
    ];
  }
}

type Steps = readonly (ReturnType<typeof protect> | ReturnType<typeof protectLoudValues>)[];

function withSteps(
  { name, start }: Pick<Policy, "name" | "start">,
  stepsOf: (context: Parameters<Policy["start"]>[0]) => Steps,
): Pick<Policy, "name" | "start"> {
  return {
    name,
    start(context, options) {
      const started = start(context, options);
      return started && { ...started, score: [...started.score, ...stepsOf(context)] };
    },
  };
}
