/**
 * @file What the GPU tells the host about a compressed layer of a prompt: the histogram of its scores, and two numbers on
 * how its attention is spread.
 *
 *     u32 | histogram [BIN_COUNT] | entropy (bits of an f32) | variance (bits of an f32) |
 *
 * Policies that allot rows to every KV head get a histogram of each. There is room for those of one layer of each sequence, as
 * they are sent to the host after every layer:
 *
 *     u32 | record [slot][layer] | histogram [slot][kvHead] |
 */
import { BIN_COUNT } from "./score_histogram.ts";

/** Words of a record. */
export const LAYER_RECORD_WORDS = BIN_COUNT + 2;
/** Where the entropy is in a record; the variance follows. */
export const STATISTICS_WORD = BIN_COUNT;

/** Where everything is in the buffer of all records, in words. */
export class RecordLayout {
  constructor(readonly slots: number, readonly layerCount: number, readonly kvHeadCount: number) {}

  get words(): number {
    return this.headHistograms(this.slots);
  }

  /** A slot's record of a layer. */
  record(slot: number, layer: number): number {
    return (slot * this.layerCount + layer) * LAYER_RECORD_WORDS;
  }

  /** A slot's histograms of the KV heads. */
  headHistograms(slot: number): number {
    return this.record(this.slots, 0) + slot * this.headHistogramsWords;
  }

  get headHistogramsWords(): number {
    return this.kvHeadCount * BIN_COUNT;
  }
}

/** How the attention that the last rows of a prompt pay to those before them is spread, summed over all query heads. */
export interface AttentionStatistics {
  /** `-sum a ln a` over the window's rows and the rows before it, in nats. */
  readonly entropy: number;
  /** Sum over the rows before the window of the (sample) variance of `a` across the window's rows. */
  readonly variance: number;
}
