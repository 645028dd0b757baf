/** @file Scores by the attention that all rows paid to each row (H2O), which is summed while the prompt is read. */
import type { AttentionOfAll } from "../../policy/steps/attention_of_all.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByAttentionOfAll: CpuStep<AttentionOfAll> = (rows) => {
  return Array.from({ length: rows.kvHeadCount }, (_, head) => rows.attentionOfAll(head).slice(0, rows.scored));
};
