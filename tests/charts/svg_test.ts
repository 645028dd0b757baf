import assert from "node:assert/strict";
import { axisTicks, type Chart, drawChart, drawFigure, inLines } from "../../src/charts/svg.ts";

const ours = { name: "ours & <theirs>", colour: "#123456" };
const chart: Chart = {
  title: 'A "title" with <angles> & more',
  notes: ["5 < 6"],
  series: [ours],
  columns: 2,
  panelWidth: 300,
  panels: [
    {
      title: "first",
      axis: "MiB",
      rows: [
        { label: "a", bars: [{ segments: [{ series: ours, value: 3 }, { series: ours, value: 4 }] }] },
        { label: "b", bars: [{ segments: [], text: "none" }] },
      ],
    },
    { title: "all zero", axis: "s", rows: [{ label: "c", bars: [{ segments: [{ series: ours, value: 0 }] }] }] },
    { title: "third", axis: "s", rows: [{ label: "d", bars: [{ segments: [{ series: ours, value: 1e-4 }] }] }] },
  ],
};

/** Every tag closed in order, every attribute quoted, no bare `<` or `&` in text. */
function assertWellFormed(xml: string): void {
  const open: string[] = [];
  const attribute = `\\s+[\\w-]+="[^"<&]*(?:&(?:amp|lt|quot);[^"<&]*)*"`;
  const token = new RegExp(`<(/?)(\\w+)((?:${attribute})*)\\s*(/?)>|&(?:amp|lt|quot);|[^<&]`, "y");
  while (token.lastIndex < xml.length) {
    const at = token.lastIndex;
    const match = token.exec(xml);
    assert.ok(match, `not well-formed at ${JSON.stringify(xml.slice(at, at + 60))}`);
    const [, closing, name, , selfClosing] = match;
    if (name === undefined || selfClosing) continue;
    if (closing) assert.equal(open.pop(), name);
    else open.push(name);
  }
  assert.deepEqual(open, []);
}

Deno.test("drawChart() draws well-formed SVG, whatever its texts hold", () => {
  const svg = drawChart(chart);
  assertWellFormed(svg);
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  assert.ok(!/NaN|Infinity|undefined/.test(svg));
});

Deno.test("drawChart() labels every row, axis and series, and each bar with the sum of its segments", () => {
  const texts = [...drawChart(chart).matchAll(/<text[^>]*>([^<]*)</g)].map(([, content]) => content);
  for (const expected of ["first", "a", "b", "MiB", "none", "7", "ours &amp; &lt;theirs&gt;", "5 &lt; 6"]) {
    assert.ok(texts.includes(expected.replaceAll("&gt;", ">")), `no text "${expected}" among ${texts}`);
  }
});

Deno.test("drawChart() draws the segments of a bar to one scale, one after the other", () => {
  const bars = [
    ...drawChart(chart).matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="12" fill="#123456"/g),
  ]
    .map(([, x, y, width]) => ({ x: Number(x), y: Number(y), width: Number(width) }));
  // The first is the legend's.
  const [three, four] = bars.slice(1);
  assert.equal(three.y, four.y);
  assert.ok(Math.abs(three.x + three.width - four.x) <= 0.1);
  assert.ok(Math.abs(three.width / 3 - four.width / 4) <= 0.1);
});

Deno.test("drawChart() ends an axis where its panel says, if no bar is longer", () => {
  const axisOf = (highest: number) => {
    const panel = { ...chart.panels[0], highest };
    const svg = drawChart({ ...chart, panels: [panel] });
    return [...svg.matchAll(/text-anchor="middle" [^>]*>([\d.]+)</g)].map(([, tick]) => Number(tick)).at(-1);
  };
  assert.equal(axisOf(100), 100);
  // The longest bar is 7 long.
  assert.equal(axisOf(5), 8);
});

Deno.test("drawFigure() is as wide as its title and notes are long", () => {
  const widthOf = (title: string, note: string) =>
    Number(
      / width="(\d+)"/.exec(drawFigure({ title, notes: [note], series: [], columns: 1, panelWidth: 300 }, []))![1],
    );
  assert.equal(widthOf("short", "short"), 340);
  // No character of the fonts that are asked for is wider than it is high, and few are half as wide.
  assert.ok(widthOf("x".repeat(60), "short") > 60 * 17 / 2);
  assert.ok(widthOf("short", "x".repeat(90)) > 90 * 12 / 2);
});

Deno.test("drawFigure() leaves no part of a line empty, however many panels are in it", () => {
  const drawn: { left: number; top: number; width: number }[] = [];
  const panel = (span?: number) => ({
    height: 100,
    span,
    draw: (left: number, top: number, width: number) => {
      drawn.push({ left, top, width });
      return "";
    },
  });
  const frame = { title: "", notes: [], series: [], columns: 3, panelWidth: 300 };
  const svg = drawFigure(frame, [[panel(), panel(), panel()], [panel(2), panel()], [panel(), panel()], [panel()]]);
  assert.match(svg, / width="980" /);
  assert.deepEqual(drawn.map(({ left, width }) => [left, width]), [
    [20, 300],
    [340, 300],
    [660, 300],
    [20, 620],
    [660, 300],
    [20, 460],
    [500, 460],
    [20, 940],
  ]);
  assert.deepEqual(drawn.map(({ top }) => top - drawn[0].top), [0, 0, 0, 120, 120, 240, 240, 360]);
});

Deno.test("inLines() makes as few lines as there can be, one as full as the next", () => {
  const lengths = (count: number) => inLines(Array.from({ length: count }, (_, i) => i), 3).map(({ length }) => length);
  assert.deepEqual([0, 1, 2, 3, 4, 5, 7, 9].map(lengths), [[], [1], [2], [3], [2, 2], [3, 2], [3, 2, 2], [3, 3, 3]]);
  assert.deepEqual(inLines(["a", "b", "c", "d"], 3), [["a", "b"], ["c", "d"]]);
});

Deno.test("axisTicks() starts at zero and covers the largest value in a few even steps", () => {
  for (const largest of [1e-5, 0.03, 0.99, 1, 2, 4.7, 10, 46.4, 999, 1000, 12345]) {
    const ticks = axisTicks(largest);
    assert.equal(ticks[0], 0);
    assert.ok(ticks.at(-1)! >= largest && ticks.at(-2)! < largest, `${largest}: ${ticks}`);
    assert.ok(ticks.length >= 3 && ticks.length <= 6, `${largest}: ${ticks}`);
    for (let i = 2; i < ticks.length; i++) {
      assert.ok(Math.abs(ticks[i] - ticks[i - 1] - ticks[1]) < 1e-9 * largest, `${largest}: ${ticks}`);
    }
  }
});
