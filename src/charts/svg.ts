/**
 * @file Bar charts as SVG: panels of horizontal bars in a grid, with a legend.
 *
 *     title
 *     legend
 *     +-- panel ----------------+  +-- panel ----------------+
 *     | label  ████████ 4.7     |  |                         |
 *     |        ███ 2.0          |  |                         |
 *     |        0   2   4  unit  |  |                         |
 *     +-------------------------+  +-------------------------+
 */
import { drawMark, type Mark } from "./marks.ts";
import { round } from "./round.ts";
import { digits } from "./text_table.ts";

/** A colour, and a mark where points are drawn, and what they stand for. */
export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly mark?: Mark;
}

/** One bar; its segments are stacked, and its text says the sum. */
export interface Bar {
  readonly segments: readonly { readonly series: Series; readonly value: number }[];
  /** In place of the sum. */
  readonly text?: string;
  /** How far the sum may be off, either way. */
  readonly error?: number;
}

export interface Panel {
  readonly title: string;
  /** What the axis counts, with its unit. */
  readonly axis: string;
  /** What the axis reaches at least, so that panels can share it. Default: the longest bar. */
  readonly highest?: number;
  readonly rows: readonly { readonly label: string; readonly bars: readonly Bar[] }[];
}

export interface Chart {
  readonly title: string;
  /** How it was measured, one line each. */
  readonly notes: readonly string[];
  readonly series: readonly Series[];
  readonly panels: readonly Panel[];
  /** Panels beside each other, and how wide they are where a line is full of them; else they share its width. */
  readonly columns: number;
  readonly panelWidth: number;
}

const MARGIN = 20;
const BAR_HEIGHT = 14;
const ROW_GAP = 8;
const TITLE_HEIGHT = 26;
const AXIS_HEIGHT = 42;
const LINE_HEIGHT = 17;
/** Room for the number at the end of the longest bar. */
const TEXT_ROOM = 52;
const TEXT_SIZE = 12;
const TITLE_SIZE = 17;
/** Mean advance of a character at the size of labels, in a font that is as wide as they come. */
export const CHARACTER_WIDTH = 7.4;

/** A panel of any kind. */
export interface FigurePanel {
  readonly height: number;
  /** How many columns it takes of those that its line is divided into. Default: 1. */
  readonly span?: number;
  /** Draws it with its corner at `(left, top)`. */
  draw(left: number, top: number, width: number): string;
}

/** Draws a chart. */
export function drawChart(chart: Chart): string {
  return drawFigure(chart, inLines(chart.panels.map(barPanel), chart.columns));
}

/** A panel of bars. */
export function barPanel(panel: Panel): FigurePanel {
  return { height: panelHeight(panel), draw: (left, top, width) => drawPanel(panel, left, top, width) };
}

/** As few lines of so many columns as there can be, one as full as the next, the first ones fuller. */
export function inLines<Item>(items: readonly Item[], columns: number): Item[][] {
  const lines = Math.ceil(items.length / columns);
  const start = (line: number) => Math.ceil(line * items.length / lines);
  return Array.from({ length: lines }, (_, line) => items.slice(start(line), start(line + 1)));
}

/** Draws a title, notes and a legend, and below them panels in lines. The panels of a line share all of its width. */
export function drawFigure(
  { columns, panelWidth, title, notes, series }: Omit<Chart, "panels">,
  lines: readonly (readonly FigurePanel[])[],
): string {
  const texts = [
    title.length * CHARACTER_WIDTH * TITLE_SIZE / TEXT_SIZE,
    ...notes.map((note) => note.length * CHARACTER_WIDTH),
  ];
  const width = Math.ceil(
    Math.max(columns * (panelWidth + MARGIN) + MARGIN, ...texts.map((text) => text + 2 * MARGIN)),
  );
  const parts: string[] = [text(MARGIN, 32, title, { size: TITLE_SIZE, weight: 600 })];
  let y = 54;
  for (const note of notes) {
    parts.push(text(MARGIN, y, note, { colour: "#555" }));
    y += LINE_HEIGHT;
  }
  let x = MARGIN;
  for (const { name, colour, mark } of series) {
    const entry = 17 + name.length * CHARACTER_WIDTH;
    if (x + entry > width) {
      x = MARGIN;
      y += LINE_HEIGHT;
    }
    const key = mark ? drawMark(mark, x + 6, y + 6, 5, colour) : rectangle(x, y, 12, 12, colour);
    parts.push(key, text(x + 17, y + 10, name));
    x += entry + 20;
  }
  if (series.length > 0) y += 28;
  for (const line of lines) {
    const spans = line.reduce((sum, { span = 1 }) => sum + span, 0);
    const column = (width - MARGIN) / spans - MARGIN;
    let left = MARGIN;
    for (const panel of line) {
      const own = (panel.span ?? 1) * (column + MARGIN) - MARGIN;
      parts.push(panel.draw(left, y, own));
      left += own + MARGIN;
    }
    y += Math.max(...line.map(({ height }) => height)) + MARGIN;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" ` +
    `font-family="system-ui, 'DejaVu Sans', sans-serif" role="img" aria-label="${escaped(title)}">\n` +
    `${rectangle(0, 0, width, y, "#fff")}\n${parts.join("\n")}\n</svg>\n`;
}

function panelHeight({ rows }: Panel): number {
  const bars = rows.reduce((sum, row) => sum + row.bars.length * BAR_HEIGHT + ROW_GAP, 0);
  return TITLE_HEIGHT + bars + AXIS_HEIGHT;
}

function drawPanel(panel: Panel, left: number, top: number, width: number): string {
  const { rows } = panel;
  const labelWidth = Math.max(...rows.map(({ label }) => label.length)) * CHARACTER_WIDTH + 8;
  const plotLeft = left + labelWidth;
  const plotWidth = width - labelWidth - TEXT_ROOM;
  const sum = ({ segments }: Bar) => segments.reduce((total, { value }) => total + value, 0);
  const ticks = axisTicks(Math.max(panel.highest ?? 0, ...rows.flatMap(({ bars }) => bars.map(sum))));
  const scale = plotWidth / ticks.at(-1)!;
  const plotTop = top + TITLE_HEIGHT;
  const plotBottom = top + panelHeight(panel) - AXIS_HEIGHT;
  const parts = [text(left, top + 13, panel.title, { weight: 600, size: 13 })];
  for (const tick of ticks) {
    const x = plotLeft + tick * scale;
    parts.push(
      `<path d="M${round(x)} ${round(plotTop)}V${round(plotBottom)}" stroke="${tick === 0 ? "#888" : "#e4e4e4"}"/>`,
      text(x, plotBottom + 15, digits(tick), { anchor: "middle", colour: "#555" }),
    );
  }
  parts.push(text(plotLeft + plotWidth / 2, plotBottom + 32, panel.axis, { anchor: "middle", colour: "#555" }));
  let y = plotTop + ROW_GAP / 2;
  for (const { label, bars } of rows) {
    const middle = y + bars.length * BAR_HEIGHT / 2 + 4;
    parts.push(text(plotLeft - 6, middle, label, { anchor: "end" }));
    for (const bar of bars) {
      let x = plotLeft;
      for (const { series, value } of bar.segments) {
        parts.push(rectangle(x, y + 1, value * scale, BAR_HEIGHT - 2, series.colour));
        x += value * scale;
      }
      if (bar.error) {
        const [middle, reach] = [y + BAR_HEIGHT / 2, bar.error * scale];
        const start = Math.max(plotLeft, x - reach);
        const path = `<path d="M${round(start)} ${round(middle)}H${round(x + reach)}"`;
        // A bar may be as dark as the line.
        parts.push(`${path} stroke="#fff" stroke-width="3"/>`, `${path} stroke="#333"/>`);
        x += reach;
      }
      parts.push(text(x + 5, y + BAR_HEIGHT - 3, bar.text ?? digits(sum(bar)), { colour: "#333", halo: true }));
      y += BAR_HEIGHT;
    }
    y += ROW_GAP;
  }
  return parts.join("\n");
}

/** Round numbers from 0 to at least `largest`, three to six of them. */
export function axisTicks(largest: number): number[] {
  if (!(largest > 0)) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(largest));
  const step = [0.2, 0.5, 1, 2].map((factor) => factor * power).find((candidate) => largest / candidate <= 5)!;
  return Array.from({ length: Math.ceil(largest / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

interface TextStyle {
  readonly anchor?: "start" | "middle" | "end";
  readonly colour?: string;
  readonly size?: number;
  readonly weight?: number;
  /** A white edge, for text on grid lines. */
  readonly halo?: boolean;
  /** Written from below to above. */
  readonly isUpwards?: boolean;
}

/** Text at a point; its baseline there. */
export function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { anchor = "start", colour = "#222", size = TEXT_SIZE, weight = 400, halo = false, isUpwards = false } = style;
  const turn = isUpwards ? ` transform="rotate(-90 ${round(x)} ${round(y)})"` : "";
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${colour}" font-size="${size}" ` +
    `font-weight="${weight}"${turn}${halo ? ' stroke="#fff" stroke-width="3" paint-order="stroke"' : ""}>` +
    `${escaped(content)}</text>`;
}

/** A filled rectangle by its upper left corner. */
export function rectangle(x: number, y: number, width: number, height: number, colour: string): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${colour}"/>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
