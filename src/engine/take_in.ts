/** @file What is made of a turn's results: scores become budgets, tokens become news. */
import type { GeneratedToken } from "../contract/generation.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { decodeResult } from "../kernels/sampling/sampling_record.ts";
import type { Model } from "../model/model.ts";
import type { ReadbackView } from "./readback.ts";
import type { Scheduler } from "./scheduler.ts";
import { type ScoreTransfer, takeInScores } from "./score_transfer.ts";
import type { Sequence } from "./sequence.ts";
import type { Turn } from "./turn.ts";

/** Takes in the results of a turn; its sequences may have ended meanwhile. */
export function takeIn(
  model: Model,
  recorder: Recorder,
  scheduler: Scheduler,
  turn: Turn,
  results: ReadbackView,
): void {
  const takeScores = (transfer: ScoreTransfer) => takeInScores(model, recorder, scheduler.counters, transfer, results);
  const receive = (sequence: Sequence, records: readonly Uint32Array[]) => {
    const tokens = records.map((record): GeneratedToken => decodeResult(record, sequence.request.topLogprobs));
    scheduler.receive(sequence, tokens);
  };

  for (const scoring of turn.hostScorings) scoring.compute();
  for (const transfer of turn.transfers) {
    if (!transfer.sequence.isFinished) takeScores(transfer);
  }
  for (const transfer of turn.positions) transfer.take();
  scheduler.reading(turn.reading);
  turn.firsts.forEach((sequence, row) => {
    if (sequence.isFinished) return;
    scheduler.prefilled(sequence);
    receive(sequence, [results.firstToken(row)]);
  });
  turn.embedded.forEach((sequence, place) => {
    if (!sequence.isFinished) scheduler.embedded(sequence, results.embedding(place));
  });
  for (const [sequence, transfers] of Map.groupBy(turn.logits, ({ sequence }) => sequence)) {
    const logits = transfers.map(({ place }) => results.logits(place));
    if (!sequence.isFinished) scheduler.emit(sequence.id, { type: "logits", logits });
  }
  turn.batch.forEach((sequence, row) => {
    if (sequence.isFinished) return;
    const steps = row < turn.free ? turn.steps : 1;
    receive(sequence, Array.from({ length: steps }, (_, step) => results.step(step, row)));
  });
  // After the tokens: a sequence that has ended with one of them evicts nothing, whenever that was noticed.
  for (const eviction of turn.evictions) {
    if (eviction.sequence.isFinished) continue;
    takeScores(eviction);
    scheduler.evicted(eviction.sequence, eviction.heldRows);
  }
}
