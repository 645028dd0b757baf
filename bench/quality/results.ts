/** @file What a comparison came to. */
import type { DepthSummary, Summary, TaskSummary } from "./aggregate.ts";
import type { Mode } from "./modes.ts";

export interface ComparisonResults {
  readonly suite: string;
  readonly mode: Mode;
  readonly model: string;
  readonly seed: number;
  readonly averages: readonly Summary[];
  readonly tasks: readonly TaskSummary[];
  readonly depths: readonly DepthSummary[];
}
