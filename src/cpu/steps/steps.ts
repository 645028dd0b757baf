/** @file Walks a policy's steps. */
import type { RankingScorer } from "../../policy/policy.ts";
import { scoreByAttention } from "./attention.ts";
import { scoreByAttentionOfAll } from "./attention_of_all.ts";
import { scoreByKeyDifference } from "./key_difference.ts";
import { scoreByKeyNorm } from "./key_norm.ts";
import { lookUp } from "./look_up.ts";
import { pool } from "./pool.ts";
import { readAhead } from "./read_ahead.ts";
import { scoreByRecency } from "./recency.ts";
import type { ScoredRows, Scores } from "./scored_rows.ts";
import { shareByHeads } from "./shared_by_heads.ts";
import { weighByValues } from "./value_norm.ts";

/** The scores of rows. */
export function scoreRows(rows: ScoredRows, scorer: RankingScorer): Scores {
  switch (scorer.name) {
    case "observation-window": {
      const { varianceWeight, groupMaximum, window } = scorer;
      const reduce = groupMaximum ? "group-maximum" : varianceWeight !== undefined ? { varianceWeight } : "sum";
      let scores = scoreByAttention(rows, window, reduce);
      if (scorer.sharedByHeads) scores = shareByHeads(scores, rows);
      if (scorer.valueNorm) scores = weighByValues(scores, rows, scorer.valueNorm);
      return pool(scores, rows, scorer.kernel, scorer.pooling);
    }
    case "read-ahead": {
      let scores = scoreByAttention(rows, scorer.window);
      scores = lookUp(scores, rows, scorer.lookups, scorer.decay);
      return readAhead(scores, rows, scorer.decay);
    }
    case "attention-sums":
      return scoreByAttentionOfAll(rows);
    case "recency":
      return scoreByRecency(rows, scorer.sinks);
    case "key-norm":
      return scoreByKeyNorm(rows);
    case "key-difference":
      return scoreByKeyDifference(rows);
  }
}
