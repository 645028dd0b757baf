/** @file Which tokens of a sequence may come next: those that its grammar lets come, but none that would end it too early. */
import type { Model } from "../model/model.ts";
import type { Sequence } from "./sequence.ts";

/** Tells the GPU; to be called before the step is submitted that draws the token. */
export function writeMask({ slots, config }: Model, { constraint, residence, tokens, request }: Sequence): void {
  const mask = constraint?.mask ?? null;
  const narrowed = tokens.unending > 0 ? withoutStops(mask, request.stopTokens, config.vocabularySize) : mask;
  if (narrowed !== null) slots.writeMask(residence.slot, narrowed);
}

/**
 * The mask without stop tokens; with them, where nothing else may come.
 *
 * @param mask a bit for each token that may come; null if all may
 */
export function withoutStops(
  mask: Uint32Array | null,
  stopTokens: readonly number[],
  vocabularySize: number,
): Uint32Array {
  const others = mask?.slice() ?? new Uint32Array(Math.ceil(vocabularySize / 32)).fill(0xffffffff);
  for (const token of stopTokens) others[token >> 5] &= ~(1 << (token & 31));
  return mask !== null && others.every((word) => word === 0) ? mask : others;
}
