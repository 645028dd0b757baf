/** @file How a rehearsal is held: which rows ask which, and from where. */

/** Most rows of a chunk: each is asked by the queries of all of them. */
export const REHEARSAL_CHUNK = 512;
/** Positions between the end of a chunk and the place at which its queries are asked again. */
export const REHEARSAL_DISTANCE = 64;

/** Rows of a prompt that ask each other. */
export interface RehearsalChunk {
  readonly first: number;
  readonly count: number;
  /** The first that gets its score here; those before it get theirs in the chunk before. */
  readonly scoredFrom: number;
}

/**
 * The chunks of a prompt. All begin at the same rows whatever comes behind them, so that their scores can be kept; but the rows
 * behind the last whole chunk, which may be few, are asked by as many as the others are.
 *
 * @param known rows whose scores are known, whole chunks
 */
export function rehearsalChunks(length: number, known = 0): RehearsalChunk[] {
  const count = Math.min(REHEARSAL_CHUNK, length);
  return Array.from({ length: Math.ceil((length - known) / REHEARSAL_CHUNK) }, (_, chunk) => {
    const scoredFrom = known + chunk * REHEARSAL_CHUNK;
    return { first: Math.min(scoredFrom, length - count), count, scoredFrom };
  });
}

/**
 * Where, counted from the first row of a chunk of `count` rows, its queries are asked again; at the last of the `positions` for which rotations
 * are known, if it is to be behind that.
 */
export function rehearsalPosition(count: number, positions: number): number {
  return Math.min(count + REHEARSAL_DISTANCE, positions - 1);
}
