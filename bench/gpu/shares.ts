/** @file How the time is shared among the stages: what one leaves over goes to those behind it. */
import { type StageName, STAGES } from "./results.ts";

/** Parts of the whole. */
const SHARES: Readonly<Record<StageName, number>> = {
  adapter: 6,
  tests: 20,
  golden: 6,
  weights: 12,
  decode: 16,
  prefill: 20,
  profile: 8,
  peers: 12,
};

/** Seconds for a stage, of what is left for it and all that follow. */
export function secondsFor(stage: StageName, left: number): number {
  const rest = STAGES.slice(STAGES.indexOf(stage));
  return left * SHARES[stage] / rest.reduce((sum, name) => sum + SHARES[name], 0);
}
