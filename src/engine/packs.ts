/** @file The prompts being prefilled: packs that take turns, each in pack rows that no other occupies. */
import type { Recorder } from "../gpu/recorder.ts";
import { SHORT_PACK_ROWS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import { EvictionBuffers } from "./eviction_buffers.ts";
import { Pack } from "./pack.ts";
import { PositionReport } from "./position_report.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** Prompts are packed up to this many rows, or one of any length. */
const PACK_ROWS = 2048;
/** Packs that take turns. Any but the first have at most {@link SHORT_PACK_ROWS}. */
const MOST_PACKS = 4;

export class Packs {
  /** The first one is next. */
  #packs: Pack[] = [];
  /**
   * Places for the last queries of prompts that no pack has. They are not those of the sequences' slots: a sequence that is aborted
   * gives its slot to the next, while its prompt is read on for the others of its pack.
   */
  #freeWindows: number[];

  constructor(readonly model: Model, readonly recorder: Recorder) {
    this.#freeWindows = Array.from({ length: model.dimensions.maxBatch }, (_, i) => i);
  }

  /** Has waiting sequences let in as far as there is room for their prompts, and packs these. */
  fill(scheduler: Scheduler): void {
    for (const pack of this.#packs) {
      if (!pack.isDone) continue;
      pack.end();
      this.#freeWindows.push(...pack.windows);
    }
    this.#packs = this.#packs.filter(({ isDone }) => !isDone);
    while (this.#packs.length < MOST_PACKS) {
      const { nextPrompt } = scheduler;
      if (nextPrompt === undefined) return;
      const most = this.#packs.length === 0 ? Math.max(PACK_ROWS, nextPrompt.length) : SHORT_PACK_ROWS;
      const gap = this.#freeRows(nextPrompt.length);
      if (nextPrompt.length > most || gap === null) return;
      const groups = scheduler.admit(Math.min(most, gap.rows), this.#freeWindows.length);
      if (groups.length === 0) return;
      for (const sequence of groups.flat()) startSlot(this.model, sequence);
      const windows = this.#freeWindows.splice(-groups.length);
      this.#packs.push(new Pack(this.model, this.recorder, groups, gap.first, windows));
    }
  }

  /** The pack whose turn it is. It is the last one from now on. */
  next(): Pack | undefined {
    const pack = this.#packs.find(({ isWaiting }) => !isWaiting);
    if (pack !== undefined) this.#packs = [...this.#packs.filter((other) => other !== pack), pack];
    return pack;
  }

  /** The first run of at least `least` pack rows that no pack occupies. */
  #freeRows(least: number): { first: number; rows: number } | null {
    const packs = [...this.#packs].sort((a, b) => a.firstRow - b.firstRow);
    let first = 0;
    for (const { firstRow, endRow } of packs) {
      if (firstRow - first >= least) return { first, rows: firstRow - first };
      first = endRow;
    }
    const rows = this.model.dimensions.packRows - first;
    return rows >= least ? { first, rows } : null;
  }
}

/** Gives the slot of a sequence that has just been let in what it needs on the GPU. */
function startSlot(model: Model, { request, forecast, tokens, residence }: Sequence): void {
  const { slots } = model;
  const { prompt, continuation } = request;
  slots.startSlot(residence.slot, request);
  if (continuation) slots.writeContinuation(residence.slot, prompt.length, continuation.tokens);
  const { eviction, policy, context: { kvHeadCount } } = forecast;
  if (eviction !== null) residence.buffers = new EvictionBuffers(model, forecast, eviction, tokens.end);
  if (policy !== null && request.kvCache.report !== undefined) {
    residence.positions = new PositionReport(model.gpu, kvHeadCount);
  }
}
