/** @file Tells the GPU which tokens of a sequence may come next. */
import type { Model } from "../model/model.ts";
import type { Sequence } from "./sequence.ts";

/** To be called before the step is submitted that draws the token. */
export function writeMask({ slots }: Model, { constraint, residence }: Sequence): void {
  const mask = constraint?.mask ?? null;
  if (mask !== null) slots.writeMask(residence.slot, mask);
}
