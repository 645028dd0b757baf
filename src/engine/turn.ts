/** @file A turn of the engine's loop: what one submit was recorded for, so that its results find their way. */
import type { EvictionTransfer } from "./record_eviction.ts";
import type { LogitTransfer } from "./record_steps.ts";
import type { HostScoring } from "./host_scoring.ts";
import type { PositionTransfer } from "./position_report.ts";
import type { Readback } from "./readback.ts";
import type { ScoreTransfer } from "./score_transfer.ts";
import type { Sequence } from "./sequence.ts";
import type { ReadingProgress } from "./reading_event.ts";

export interface Turn {
  readonly readback: Readback;
  /** Rows of the decode batch, and how many steps of it. */
  readonly batch: readonly Sequence[];
  readonly steps: number;
  /** The first rows, which took part in all steps; the others in the first one alone. */
  readonly free: number;
  /** Logits that are reported, in order, each at its place in the readback. */
  readonly logits: readonly LogitTransfer[];
  /** Of sequences of the batch that evict after its last step. */
  readonly evictions: readonly EvictionTransfer[];
  readonly tiles: number;
  readonly transfers: readonly ScoreTransfer[];
  /** What the host computes of its results, before their layers are scored. */
  readonly hostScorings: readonly HostScoring[];
  /** Rows of the batch of first tokens. */
  readonly firsts: readonly Sequence[];
  /** Positions of the layers that it reads, of those that are to tell them. */
  readonly positions: readonly PositionTransfer[];
  /** Whose prompts it reads, and through which layer. */
  readonly reading: { readonly sequences: readonly Sequence[] } & ReadingProgress;
  /** Those whose prompts' vectors are read back, by their place. */
  readonly embedded: readonly Sequence[];
}
