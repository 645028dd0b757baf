/** @file Scores by kernels of plugins that count as 0: said once for each policy, counted always. */
import type { Sequence } from "./sequence.ts";

export class UnusableScores {
  /** Policies that have been logged. */
  readonly #logged = new Set<string>();

  /** @param say takes a line for people */
  constructor(readonly say: (line: string) => void) {}

  /** Logs the first of each policy. */
  log({ request: { kvCache: { policy } }, unusableScores }: Sequence): void {
    if (this.#logged.has(policy)) return;
    this.#logged.add(policy);
    this.say(
      `KV cache policy ${policy}: ${unusableScores} scores of a prompt were no numbers of at least 0 and count as 0; further ones ` +
        "are counted in the metric ebb_kv_unusable_scores_total",
    );
  }
}
