/** @file Sequences that have the same prompt, which is then prefilled once. */
import type { Sequence } from "./sequence.ts";

/**
 * Groups sequences that have the same prompt: it is prefilled once, and stored for each by its own policy. Those whose
 * scores themselves are read back stay alone, for these travel by pack row.
 */
export function groupByPrompt(sequences: readonly Sequence[]): Sequence[][] {
  const groups: Sequence[][] = [];
  for (const sequence of sequences) {
    const { prompt } = sequence.request;
    const group = groups.find(([{ request, policy }]) =>
      !policy?.exactScores && !sequence.policy?.exactScores && request.prompt.length === prompt.length &&
      request.prompt.every((token, i) => token === prompt[i])
    );
    if (group === undefined) groups.push([sequence]);
    else group.push(sequence);
  }
  return groups;
}
