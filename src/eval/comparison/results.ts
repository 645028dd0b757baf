/** @file What a comparison came to. */
import type { DepthSummary, Summary, TaskSummary } from "./aggregate.ts";
import type { Mode } from "../answerers/modes.ts";

export interface ComparisonResults {
  readonly suite: string;
  readonly mode: Mode;
  readonly model: string;
  readonly seed: number;
  /** Over all tasks, those of second turns among them; tables and figures keep turns apart. */
  readonly averages: readonly Summary[];
  readonly tasks: readonly TaskSummary[];
  readonly depths: readonly DepthSummary[];
}
