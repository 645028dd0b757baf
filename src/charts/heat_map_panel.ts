/** @file A grid of coloured cells with their values, as a panel of a figure (see svg.ts). */
import { CHARACTER_WIDTH, rectangle, text } from "./svg.ts";

/** What a panel shows. */
export interface HeatMapPanel {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** What the columns are. */
  readonly axis: string;
  /** The value, from 0 to 100, of a cell by row and column, or null where there is none. */
  readonly values: readonly (readonly (number | null)[])[];
}

const CELL_HEIGHT = 18;
const TOP = 24;
const BOTTOM = 42;
/** Of 0, 50 and 100, red, green and blue. */
const COLOURS = [[222, 99, 84], [250, 221, 134], [86, 166, 116]];

export function heatMapHeight({ rows }: HeatMapPanel): number {
  return TOP + rows.length * CELL_HEIGHT + BOTTOM;
}

/** Draws a panel with its corner at `(left, top)`. */
export function drawHeatMap(panel: HeatMapPanel, left: number, top: number, width: number): string {
  const { columns, rows, values } = panel;
  const labelWidth = Math.max(...rows.map(({ length }) => length)) * CHARACTER_WIDTH + 8;
  const cellWidth = (width - labelWidth) / columns.length;
  const x = (column: number) => left + labelWidth + column * cellWidth;
  const y = (row: number) => top + TOP + row * CELL_HEIGHT;
  const parts = [
    text(left, top + 13, panel.title, { weight: 600, size: 13 }),
    text(left + (labelWidth + width) / 2, y(rows.length) + 34, panel.axis, { anchor: "middle", colour: "#555" }),
  ];
  rows.forEach((label, row) => {
    parts.push(text(left + labelWidth - 6, y(row) + 13, label, { anchor: "end" }));
    values[row].forEach((value, column) => {
      if (value === null) return;
      parts.push(
        rectangle(x(column) + 0.5, y(row) + 0.5, cellWidth - 1, CELL_HEIGHT - 1, colourOf(value)),
        text(x(column) + cellWidth / 2, y(row) + 13, value.toFixed(0), { anchor: "middle", size: 10 }),
      );
    });
  });
  columns.forEach((label, column) =>
    parts.push(text(x(column) + cellWidth / 2, y(rows.length) + 16, label, { anchor: "middle", colour: "#555" }))
  );
  return parts.join("\n");
}

/** Between red, yellow and green. */
function colourOf(value: number): string {
  const place = Math.min(1.999, Math.max(0, value / 50));
  const [low, high] = COLOURS.slice(Math.floor(place));
  const part = place % 1;
  return `#${low.map((from, i) => Math.round(from + part * (high[i] - from)).toString(16).padStart(2, "0")).join("")}`;
}
