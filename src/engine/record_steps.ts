/** @file Records decode steps of a batch, as many as all of its sequences can take before the host has to look at them. */
import type { Recorder } from "../gpu/recorder.ts";
import { MAX_STEPS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import { batchRow } from "./batch_row.ts";
import { writeTables } from "./block_tables.ts";
import type { Readback } from "./readback.ts";
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
 * @param batch neighbours where they share an arena; at least one
 * @returns the steps recorded, and the logits to be read back, in order
 */
export function recordSteps(
  model: Model,
  recorder: Recorder,
  readback: Readback,
  batch: readonly Sequence[],
  most: number,
): { steps: number; logits: LogitTransfer[] } {
  const { decodeRows, decoder, config } = model;
  const steps = Math.min(most, stepsOf(batch, readback));
  for (const { residence } of batch) {
    residence.cache.reserveRecent(steps);
    writeTables(model, residence);
  }
  const rows = batch.map(batchRow);
  decodeRows.set(rows);
  const logits: LogitTransfer[] = [];
  for (let step = 0; step < steps; step++) {
    decoder.record(recorder, rows, step);
    batch.forEach((sequence, row) => {
      if (!sequence.tokens.reportsLogits(step)) return;
      logits.push({ sequence, place: readback.copyLogits(recorder, row) });
    });
  }
  for (const { tokens, residence: { cache } } of batch) {
    for (let layer = 0; layer < config.layerCount; layer++) cache.appendRecent(layer, steps);
    tokens.recorded += steps;
  }
  readback.copySteps(recorder, steps);
  return { steps, logits };
}

/** Steps up to the end of the longest sequence, the next eviction, and the room for logits. */
function stepsOf(batch: readonly Sequence[], { logitPlaces }: Readback): number {
  const longest = Math.max(...batch.map(({ tokens }) => tokens.remaining));
  const toEviction = Math.min(...batch.map(({ eviction, tokens }) => eviction?.stepsLeft(tokens) ?? Infinity));
  const reporting = batch.filter(({ tokens }) => tokens.willReportLogits).length;
  return Math.min(longest, toEviction, reporting > 0 ? Math.floor(logitPlaces / reporting) : MAX_STEPS);
}
