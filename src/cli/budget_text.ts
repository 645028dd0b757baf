/** @file A KV budget as flags and commands have it. */
import type { KvCacheChoice } from "../contract/generation.ts";

/** `1024`, `6.9%` or `auto:0.98:50%`. */
export function budgetText(budget: KvCacheChoice["budget"]): string {
  return typeof budget === "object" ? `auto:${budget.mass}:${budget.max}` : String(budget);
}

/** The same with what it counts. */
export function budgetInWords(budget: KvCacheChoice["budget"]): string {
  const unit = typeof budget === "number"
    ? " rows per layer"
    : typeof budget === "string"
    ? " of the prompt's rows"
    : "";
  return budgetText(budget) + unit;
}
