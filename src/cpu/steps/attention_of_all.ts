/** @file Scores by the attention that all rows paid to each row (H2O), which is summed while the prompt is read. */
import type { ScoredRows, Scores } from "./scored_rows.ts";

export function scoreByAttentionOfAll(rows: ScoredRows): Scores {
  return Array.from({ length: rows.kvHeadCount }, (_, head) => rows.attentionOfAll(head).slice(0, rows.scored));
}
