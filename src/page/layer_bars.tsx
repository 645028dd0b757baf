/** @file Rows by layer as bars, which move while the prompt is read. A bar chooses its layer for the text beside it. */

interface Props {
  /** Of the layers that have been read so far. */
  readonly rows: readonly number[];
  /** Layers of the model; those that have not been read have no bar yet. */
  readonly layers: number;
  /** Rows that a whole bar stands for. */
  readonly most: number;
  readonly chosen: number | undefined;
  readonly onChoose: (layer: number | undefined) => void;
}

export function LayerBars({ rows, layers, most, chosen, onChoose }: Props) {
  return (
    <ol class="bars" start={0}>
      {Array.from({ length: Math.max(layers, rows.length) }, (_, layer) => (
        <li key={layer}>
          <button
            type="button"
            aria-pressed={layer === chosen ? "true" : "false"}
            disabled={layer >= rows.length}
            onClick={() => onChoose(layer === chosen ? undefined : layer)}
          >
            <span class="layer">
              <span class="unseen">Layer</span>
              {layer}
            </span>
            <span class="track">
              <span class="bar" style={{ width: `${100 * (rows[layer] ?? 0) / Math.max(1, most)}%` }} />
            </span>
            <span class="rows">
              {layer < rows.length ? shown(rows[layer]) : ""}
              <span class="unseen">{layer < rows.length ? "rows" : "not read yet"}</span>
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}

/** Means of heads can be fractions. */
function shown(rows: number): string {
  return Number.isInteger(rows) ? String(rows) : rows.toFixed(1);
}
