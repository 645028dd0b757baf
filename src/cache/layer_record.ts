/**
 * @file What the GPU tells the host about a compressed layer of a prompt: the histogram of its scores, and two numbers on
 * how its attention is spread.
 *
 *     u32 | histogram [BIN_COUNT] | entropy (bits of an f32) | variance (bits of an f32) |
 */
import { BIN_COUNT } from "./score_histogram.ts";

/** Words of a record. */
export const LAYER_RECORD_WORDS = BIN_COUNT + 2;
/** Where the entropy is in a record; the variance follows. */
export const STATISTICS_WORD = BIN_COUNT;

/** How the attention that the last rows of a prompt pay to those before them is spread, summed over all query heads. */
export interface AttentionStatistics {
  /** `-sum a ln a` over the window's rows and the rows before it, in nats. */
  readonly entropy: number;
  /** Sum over the rows before the window of the (sample) variance of `a` across the window's rows. */
  readonly variance: number;
}
