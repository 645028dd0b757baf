/** @file A policy as it ranks generated rows by themselves, those of the prompt being left alone. */
import { rankedBudget } from "../cache/budgets.ts";
import type { PolicyContext } from "./context.ts";
import type { Policy, StartedPolicy } from "./policy.ts";
import { scoreOfGenerated, windowOf } from "./steps.ts";

/**
 * The policy with what of its score can rank generated rows. Rows allotted to KV heads become the same number for all of them: how heads
 * competed was measured on the prompt.
 */
export function policyOfGenerated(policy: Pick<Policy, "name" | "start">): Pick<Policy, "name" | "start"> {
  return {
    name: policy.name,
    start(context, options) {
      const started = policy.start(context, options);
      const score = started && scoreOfGenerated(started.score);
      if (score === null) return null;
      return started!.perHead ? evenly({ ...started!, score }, context) : { ...started!, score };
    },
  };
}

/** The same number of rows for every layer and head. */
function evenly(started: StartedPolicy, { layerCount, promptLength, budget }: PolicyContext): StartedPolicy {
  const window = windowOf(started.score);
  return {
    score: started.score,
    perHead: false,
    exactScores: false,
    attentionStatistics: false,
    provisionalRows: () => Math.min(rankedBudget(budget, window), promptLength - window),
    isRebalanceDue: (layer) => layer + 1 === layerCount,
    allot: (layers) => layers.map(({ heldRows }) => heldRows),
  };
}
