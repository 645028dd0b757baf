/** @file How a rehearsal is held: which rows ask which, and from where. */

/** Most rows of a chunk: each is asked by the queries of all of them. */
export const REHEARSAL_CHUNK = 512;
/** Positions between the end of a chunk and the place at which its queries are asked again. */
export const REHEARSAL_DISTANCE = 64;

/** Rows of all chunks of a prompt of `length` rows but the last, which may have a few less: none is much shorter than the others. */
export function rehearsalChunkRows(length: number): number {
  return Math.ceil(length / Math.ceil(length / REHEARSAL_CHUNK));
}

/**
 * Where, counted from the first row of a chunk of `count` rows, its queries are asked again; at the last of the `positions` for which rotations
 * are known, if it is to be behind that.
 */
export function rehearsalPosition(count: number, positions: number): number {
  return Math.min(count + REHEARSAL_DISTANCE, positions - 1);
}
