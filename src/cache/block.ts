/**
 * @file The unit of KV cache memory: a fixed number of rows of one layer, keys and values of all its KV heads.
 */

/** Rows of a block. */
export const BLOCK_ROWS = 16;

/** Bytes of a block: keys and values of `BLOCK_ROWS` rows, `[kvHeadCount x headSize]` elements each. */
export function blockBytes(kvHeadCount: number, headSize: number, elementBytes: number): number {
  return BLOCK_ROWS * kvHeadCount * headSize * 2 * elementBytes;
}

/** Blocks that hold this many rows; the last may be part empty. */
export function blocksFor(rows: number): number {
  return Math.ceil(rows / BLOCK_ROWS);
}
