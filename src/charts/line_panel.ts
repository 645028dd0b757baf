/** @file Lines over a few named places on an axis, as a panel of a figure (see svg.ts). */
import { digits } from "./text_table.ts";
import { axisTicks, CHARACTER_WIDTH, round, type Series, text } from "./svg.ts";

/** What a panel shows. */
export interface LinePanel {
  readonly title: string;
  /** What the lower axis names, such as a budget, and its places from left to right. */
  readonly axis: string;
  readonly places: readonly string[];
  /** What the other axis reaches, from 0, so that panels can share it. */
  readonly highest: number;
  /** A value for each place, or null where there is none, from 0 to the highest. */
  readonly lines: readonly { readonly series: Series; readonly values: readonly (number | null)[] }[];
  /** A dashed line across, such as that of the full cache. */
  readonly level?: { readonly series: Series; readonly value: number };
}

export const LINE_PANEL_HEIGHT = 250;
const LEFT = 40;
const TOP = 28;
const BOTTOM = 46;
const RIGHT = 14;

/** The part of a place over which lines are spread, in their order, so that none hides behind another. */
const SPREAD = 0.7;
/** Most pixels from line to line. */
const MOST_APART = 7;

/** Draws a panel with its corner at `(left, top)`. */
export function drawLinePanel(
  { title, axis, places, highest, lines, level }: LinePanel,
  left: number,
  top: number,
  width: number,
) {
  const ticks = axisTicks(highest);
  const plot = {
    left: left + LEFT,
    right: left + width - RIGHT,
    top: top + TOP,
    bottom: top + LINE_PANEL_HEIGHT - BOTTOM,
  };
  const placeWidth = (plot.right - plot.left) / places.length;
  const x = (place: number) => plot.left + (place + 0.5) * placeWidth;
  const apart = Math.min(MOST_APART, SPREAD * placeWidth / lines.length);
  const labelWidth = (1 + Math.max(...places.map(({ length }) => length))) * CHARACTER_WIDTH;
  const labelled = Math.ceil(labelWidth / placeWidth);
  const y = (value: number) => plot.bottom - value / ticks.at(-1)! * (plot.bottom - plot.top);
  const across = (value: number, style: string) =>
    `<path d="M${round(plot.left)} ${round(y(value))}H${round(plot.right)}" fill="none" ${style}/>`;
  const parts = [text(left, top + 13, title, { weight: 600, size: 13 })];
  for (const tick of ticks) {
    parts.push(
      across(tick, `stroke="${tick === 0 ? "#888" : "#e4e4e4"}"`),
      text(plot.left - 6, y(tick) + 4, digits(tick), { anchor: "end", colour: "#555" }),
    );
  }
  places.forEach((place, i) => {
    if (i % labelled === 0) parts.push(text(x(i), plot.bottom + 16, place, { anchor: "middle", colour: "#555" }));
  });
  parts.push(text((plot.left + plot.right) / 2, plot.bottom + 34, axis, { anchor: "middle", colour: "#555" }));
  if (level) parts.push(across(level.value, `stroke="${level.series.colour}" stroke-width="2" stroke-dasharray="6 4"`));
  lines.forEach(({ series: { colour }, values }, line) => {
    const aside = (line - (lines.length - 1) / 2) * apart;
    const points = values.flatMap((value, place) => value === null ? [] : [[round(x(place) + aside), round(y(value))]]);
    parts.push(
      `<path d="M${
        points.map((point) => point.join(" ")).join("L")
      }" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...points.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`),
    );
  });
  return parts.join("\n");
}
