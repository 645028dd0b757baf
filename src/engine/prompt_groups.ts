/** @file Sequences that have the same prompt, which is then prefilled once. */
import type { GenerationRequest } from "../contract/generation.ts";
import type { Sequence } from "./sequence.ts";

/**
 * Whether one reading of the prompt serves both. With other salts it does not: who reads along takes over what was found of the prompt
 * for the other, and is done sooner than others, which would tell that someone else has asked the same.
 */
export function isReadAlike(one: GenerationRequest, other: GenerationRequest): boolean {
  return one.cacheSalt === other.cacheSalt && one.prompt.length === other.prompt.length &&
    one.prompt.every((token, i) => token === other.prompt[i]);
}

/**
 * Groups sequences that have the same prompt and the same salt: it is prefilled once, and stored for each by its own policy. Those
 * whose scores themselves are read back stay alone, for these travel by pack row.
 */
export function groupByPrompt(sequences: readonly Sequence[]): Sequence[][] {
  const groups: Sequence[][] = [];
  for (const sequence of sequences) {
    const group = groups.find(([{ request, policy }]) =>
      !policy?.exactScores && !sequence.policy?.exactScores && isReadAlike(request, sequence.request)
    );
    if (group === undefined) groups.push([sequence]);
    else group.push(sequence);
  }
  return groups;
}
