/**
 * @file Records decode steps of a batch, as many as all of its sequences can take before the host has to look at them. Those
 * that cannot run ahead take part in the first one alone.
 *
 *     step 0 | free free free bound bound |
 *     step 1 | free free free |
 */
import type { Recorder } from "../gpu/recorder.ts";
import { MAX_STEPS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import { batchRow } from "./batch_row.ts";
import { writeTables } from "./block_tables.ts";
import type { Readback } from "./readback.ts";
import { writeMask } from "./token_masks.ts";
import type { Sequence } from "./sequence.ts";

/** Logits of a sequence that a submit sends to the host. */
export interface LogitTransfer {
  readonly sequence: Sequence;
  /** Where they are in the readback. */
  readonly place: number;
}

/**
 * Records up to `most` steps.
 *
 * @param batch first those that run ahead; neighbours where they share an arena; at least one
 * @returns the steps recorded, how many sequences took part in all of them, and the logits to be read back, in order
 */
export function recordSteps(
  model: Model,
  recorder: Recorder,
  readback: Readback,
  batch: readonly Sequence[],
  most: number,
): { steps: number; free: number; logits: LogitTransfer[] } {
  const { decodeRows, decoder, config } = model;
  const bound = batch.findIndex(({ runsAhead }) => !runsAhead);
  const free = bound < 0 ? batch.length : bound;
  const steps = free === 0 ? 1 : Math.min(most, stepsOf(batch.slice(0, free), readback));
  const stepsOfRow = (row: number) => row < free ? steps : 1;
  batch.forEach((sequence, row) => {
    sequence.residence.cache.reserveRecent(stepsOfRow(row));
    writeTables(model, sequence.residence);
    writeMask(model, sequence);
  });
  const rows = batch.map(batchRow);
  decodeRows.set(rows);
  const logits: LogitTransfer[] = [];
  for (let step = 0; step < steps; step++) {
    const count = step === 0 ? batch.length : free;
    decoder.record(recorder, rows.slice(0, count), step);
    batch.slice(0, count).forEach((sequence, row) => {
      if (!sequence.tokens.reportsLogits(step)) return;
      logits.push({ sequence, place: readback.copyLogits(recorder, row) });
    });
  }
  batch.forEach(({ tokens, constraint, residence: { cache } }, row) => {
    for (let layer = 0; layer < config.layerCount; layer++) cache.appendRecent(layer, stepsOfRow(row));
    tokens.recorded += stepsOfRow(row);
    if (row >= free) constraint!.isReady = false;
  });
  readback.copySteps(recorder, steps);
  return { steps, free, logits };
}

/** Steps up to the end of the longest sequence, the next eviction, the next change of a mask, and the room for logits. */
function stepsOf(batch: readonly Sequence[], { logitPlaces }: Readback): number {
  const longest = Math.max(...batch.map(({ tokens }) => tokens.remaining));
  const toEviction = Math.min(...batch.map(({ eviction, tokens }) => eviction?.stepsLeft(tokens) ?? Infinity));
  const toUnmasking = Math.min(...batch.map(({ tokens }) => tokens.unending || Infinity));
  const reporting = batch.filter(({ tokens }) => tokens.willReportLogits).length;
  return Math.min(longest, toEviction, toUnmasking, reporting > 0 ? Math.floor(logitPlaces / reporting) : MAX_STEPS);
}
