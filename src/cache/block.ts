/**
 * @file The unit of KV cache memory: a fixed number of rows of one layer, keys and values of all its KV heads.
 *
 * A block is divided into as many slots as there are KV heads. A slot holds `BLOCK_ROWS` rows of one head, and is contiguous;
 * slot s of an arena is slot `s % kvHeadCount` of block `s / kvHeadCount`.
 */

/** Rows of a block. */
export const BLOCK_ROWS = 16;

/**
 * Marks a layer whose KV heads hold different numbers of ranked rows, in the word that otherwise counts the ranked rows; the
 * other bits then count the layer's ranked blocks. The heads' own rows are in its block table, see model/batch_state.ts.
 */
export const PACKED = 0x80000000;

/** Words at the end of a block table for each KV head of a packed layer: the first of its slots, and its ranked rows. */
export const HEAD_WORDS = 2;

/** Bytes of a block: keys and values of `BLOCK_ROWS` rows, `[kvHeadCount x headSize]` elements each. */
export function blockBytes(kvHeadCount: number, headSize: number, elementBytes: number): number {
  return BLOCK_ROWS * kvHeadCount * headSize * 2 * elementBytes;
}

/** Blocks that hold this many rows; the last may be part empty. */
export function blocksFor(rows: number): number {
  return Math.ceil(rows / BLOCK_ROWS);
}
