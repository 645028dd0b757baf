/** @file Scores by what the prompt would look up if it were read a second time: see kernels/scoring/rehearsal_scores.ts. */
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { rehearsalChunkRows } from "../../scores/rehearsal.ts";
import { byChunk } from "./by_chunk.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByRehearsal: CpuStep<Rehearsal> = (rows) =>
  byChunk(rows, rehearsalChunkRows(rows.length), (head, first, count) => rows.rehearsed(head, first, count));
