/** @file Lines over a few places on an axis, as a panel of a figure (see svg.ts). */
import { drawMark } from "./marks.ts";
import { digits } from "./text_table.ts";
import { round } from "./round.ts";
import { axisTicks, CHARACTER_WIDTH, type FigurePanel, type Series, text } from "./svg.ts";

/** What a panel shows. */
export interface LinePanel {
  readonly title: string;
  /** What the lower axis names, such as a budget, and its places from left to right. */
  readonly axis: string;
  /** What the other axis counts, with its unit. */
  readonly upwards: string;
  readonly places: readonly string[];
  /** Where the places are, in units of the axis, ascending. Default: at equal distances. */
  readonly positions?: readonly number[];
  /** What the other axis reaches, from 0, so that panels can share it. */
  readonly highest: number;
  /** A value for each place, or null where there is none, from 0 to the highest; and how far each may be off, either way. */
  readonly lines: readonly {
    readonly series: Series;
    readonly values: readonly (number | null)[];
    readonly errors?: readonly (number | null)[];
  }[];
  /** A dashed line across, such as that of the full cache. */
  readonly level?: { readonly series: Series; readonly value: number };
}

/** Pixels, where nothing else is said. */
const HEIGHT = 250;
const LEFT = 58;
const TOP = 28;
const BOTTOM = 46;
const RIGHT = 14;
/** From the ends of the axis to the first and last place. */
const INSET = 18;
const MARK_SIZE = 4;

/** A panel of lines. */
export function linePanel(
  panel: LinePanel,
  { height = HEIGHT, span }: Partial<Pick<FigurePanel, "height" | "span">> = {},
): FigurePanel {
  return { height, span, draw: (left, top, width) => drawLinePanel(panel, left, top, width, height) };
}

function drawLinePanel(
  { title, axis, upwards, places, positions = places.map((_, place) => place), highest, lines, level }: LinePanel,
  left: number,
  top: number,
  width: number,
  height: number,
): string {
  const ticks = axisTicks(highest);
  const plot = { left: left + LEFT, right: left + width - RIGHT, top: top + TOP, bottom: top + height - BOTTOM };
  const [first, last] = [positions[0], positions.at(-1)!];
  const x = (place: number) =>
    last === first
      ? (plot.left + plot.right) / 2
      : plot.left + INSET + (positions[place] - first) / (last - first) * (plot.right - plot.left - 2 * INSET);
  const y = (value: number) => plot.bottom - value / ticks.at(-1)! * (plot.bottom - plot.top);
  const across = (value: number, style: string) =>
    `<path d="M${round(plot.left)} ${round(y(value))}H${round(plot.right)}" fill="none" ${style}/>`;
  const parts = [
    text(left, top + 13, title, { weight: 600, size: 13 }),
    text(left + 12, (plot.top + plot.bottom) / 2, upwards, { anchor: "middle", colour: "#555", isUpwards: true }),
  ];
  for (const tick of ticks) {
    parts.push(
      across(tick, `stroke="${tick === 0 ? "#888" : "#e4e4e4"}"`),
      text(plot.left - 6, y(tick) + 4, digits(tick), { anchor: "end", colour: "#555" }),
    );
  }
  let labelledTo = -Infinity;
  places.forEach((place, i) => {
    const half = (1 + place.length) * CHARACTER_WIDTH / 2;
    parts.push(`<path d="M${round(x(i))} ${round(plot.bottom)}v4" stroke="#888"/>`);
    if (x(i) - half < labelledTo) return;
    labelledTo = x(i) + half;
    parts.push(text(x(i), plot.bottom + 16, place, { anchor: "middle", colour: "#555" }));
  });
  parts.push(text((plot.left + plot.right) / 2, plot.bottom + 34, axis, { anchor: "middle", colour: "#555" }));
  if (level) parts.push(across(level.value, `stroke="${level.series.colour}" stroke-width="2" stroke-dasharray="6 4"`));
  for (const { series: { colour, mark = "circle" }, values, errors = [] } of lines) {
    const points = values.flatMap((value, place) => value === null ? [] : [{ place, value, error: errors[place] }]);
    const line = points.map(({ place, value }) => `${round(x(place))} ${round(y(value))}`).join("L");
    parts.push(`<path d="M${line}" fill="none" stroke="${colour}" stroke-width="1.5"/>`);
    for (const { place, value, error } of points) {
      if (error) {
        const [low, high] = [Math.max(0, value - error), Math.min(ticks.at(-1)!, value + error)];
        parts.push(`<path d="M${round(x(place))} ${round(y(low))}V${round(y(high))}" stroke="${colour}"/>`);
      }
      parts.push(drawMark(mark, x(place), y(value), MARK_SIZE, colour));
    }
  }
  return parts.join("\n");
}
