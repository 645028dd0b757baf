/** @file The rows that each layer kept, as bars of characters. */

/** A character, filled by 0 to 8 eighths. */
const EIGHTHS = " ▏▎▍▌▋▊▉█";

/**
 * A line for each layer; the longest bar is that of the layer that kept most.
 *
 * @param columns width of a line in characters
 */
export function rowBars(rowsPerLayer: readonly number[], columns: number): string[] {
  const most = Math.max(1, ...rowsPerLayer);
  // Means of heads can be fractions.
  const numbers = rowsPerLayer.map((rows) => String(Number(rows.toFixed(1))));
  const layerWidth = String(rowsPerLayer.length - 1).length;
  const numberWidth = Math.max(...numbers.map(({ length }) => length));
  const width = Math.max(1, columns - "layer  ".length - layerWidth - numberWidth - 2);
  return rowsPerLayer.map((rows, layer) =>
    `layer ${String(layer).padStart(layerWidth)} ${numbers[layer].padStart(numberWidth)} ${bar(rows / most * width)}`
      .trimEnd()
  );
}

/** A bar of so many characters, to an eighth; not quite nothing is seen as something. */
function bar(length: number): string {
  const eighths = length > 0 ? Math.max(1, Math.round(8 * length)) : 0;
  return EIGHTHS[8].repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8].trim();
}
