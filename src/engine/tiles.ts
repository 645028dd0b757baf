/** @file Tiles: rows of a pack that pass a layer together. */

export interface Tile {
  readonly first: number;
  readonly count: number;
}

/** A prompt's place among the rows of a pack. */
interface PackedPrompt {
  readonly start: number;
  readonly length: number;
  /** Rows at its beginning that pass no layer. */
  readonly cachedRows: number;
}

/**
 * Tiles of at most `rows` rows, of all that pass the layers: rows of neighbouring prompts together, as far as nothing cached lies
 * between them.
 *
 * @param prompts one behind the other
 */
export function tilesOf(prompts: readonly PackedPrompt[], rows: number): Tile[] {
  const runs: { first: number; end: number }[] = [];
  for (const { start, length, cachedRows } of prompts) {
    const first = start + cachedRows;
    const end = start + length;
    const last = runs.at(-1);
    if (last?.end === first) last.end = end;
    else runs.push({ first, end });
  }
  return runs.flatMap(({ first, end }) =>
    Array.from({ length: Math.ceil((end - first) / rows) }, (_, i) => ({
      first: first + i * rows,
      count: Math.min(rows, end - first - i * rows),
    }))
  );
}
