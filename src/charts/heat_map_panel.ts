/** @file A grid of coloured cells with their values, as a panel of a figure (see svg.ts). */
import { CHARACTER_WIDTH, type FigurePanel, rectangle, text } from "./svg.ts";

/** What a panel shows. */
export interface HeatMapPanel {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** What the columns are. */
  readonly axis: string;
  /** The value, from 0 to the highest, of a cell by row and column, or null where there is none. */
  readonly values: readonly (readonly (number | null)[])[];
  /** The value that the scale ends with. Default: 100. */
  readonly highest?: number;
}

/** Colours of 0, of half the highest value and of the highest: red, green and blue. */
type ColourScale = readonly [Colour, Colour, Colour];
type Colour = readonly [red: number, green: number, blue: number];

/** One hue, the darker the more: seen by everyone, and on paper. */
const LITTLE_TO_MUCH: ColourScale = [[247, 251, 255], [133, 182, 220], [24, 84, 148]];

const CELL_HEIGHT = 18;
const TOP = 24;
const BOTTOM = 42;
/** Below this mean of red, green and blue, text is white. */
const DARK = 120;

/** A panel of cells. */
export function heatMapPanel(panel: HeatMapPanel): FigurePanel {
  return {
    height: TOP + panel.rows.length * CELL_HEIGHT + BOTTOM,
    draw: (left, top, width) => drawHeatMap(panel, left, top, width),
  };
}

function drawHeatMap(panel: HeatMapPanel, left: number, top: number, width: number): string {
  const { columns, rows, values, highest = 100 } = panel;
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
      const colour = colourOf(value / highest);
      const isDark = colour.reduce((sum, part) => sum + part) / 3 < DARK;
      parts.push(
        rectangle(x(column) + 0.5, y(row) + 0.5, cellWidth - 1, CELL_HEIGHT - 1, hexadecimal(colour)),
        text(x(column) + cellWidth / 2, y(row) + 13, value.toFixed(0), {
          anchor: "middle",
          size: 10,
          colour: isDark ? "#fff" : "#222",
        }),
      );
    });
  });
  columns.forEach((label, column) =>
    parts.push(text(x(column) + cellWidth / 2, y(rows.length) + 16, label, { anchor: "middle", colour: "#555" }))
  );
  return parts.join("\n");
}

/** @param place from 0 to 1 */
function colourOf(place: number): number[] {
  const steps = Math.min(1.999, Math.max(0, 2 * place));
  const [low, high] = LITTLE_TO_MUCH.slice(Math.floor(steps));
  return low.map((from, i) => Math.round(from + steps % 1 * (high[i] - from)));
}

function hexadecimal(colour: readonly number[]): string {
  return `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
