/** @file Who takes part in a comparison. */

/** A policy with a budget; null for one that has none, such as the full cache. */
export interface Contender {
  readonly policy: string;
  readonly budget: number | string | null;
}

export const FULL: Contender = { policy: "full", budget: null };

/** A server of which nothing is known but its address: it is asked as it is. */
export const SERVER: Contender = { policy: "the server", budget: null };

/** The full cache, then every policy with every budget. */
export function contendersOf(policies: readonly string[], budgets: readonly (number | string)[]): Contender[] {
  const rivals = policies.filter((policy) => policy !== FULL.policy);
  return [FULL, ...budgets.flatMap((budget) => rivals.map((policy) => ({ policy, budget })))];
}
