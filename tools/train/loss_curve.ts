/**
 * @file Draws the losses that train.py logs, as SVG.
 *
 * `deno run -A tools/train/loss_curve.ts DIR/log.csv models/ebb-mini-loss.svg`
 */

/** Columns of log.csv: where each kind's loss stands, and how it is drawn, in colours that everyone tells apart (Okabe and Ito, 2008). */
const CURVES = [
  { name: "answers", column: 6, colour: "#0072b2" },
  { name: "repeated segments", column: 10, colour: "#d55e00" },
  { name: "documents", column: 4, colour: "#009e73" },
  { name: "prose", column: 8, colour: "#cc79a7" },
] as const;
const TOKENS = 1, LENGTH = 2;

const WIDTH = 760, HEIGHT = 400, LEFT = 56, RIGHT = 150, TOP = 50, BOTTOM = 50;
const LABEL_WIDTH = 78;
/** Losses, in nats, at the lower and upper edge. */
const LOWEST = 0.01, HIGHEST = 10;
/** Million tokens from one tick to the next. */
const TICK_MILLIONS = 2;
/** Points of a curve, each the mean of the steps in between. */
const POINTS = 120;

/** The curves of a log; x is linear in tokens, y logarithmic in the loss. */
export function lossCurve(log: string): string {
  const rows = log.trim().split("\n").map((line) => line.split(","));
  const lastTokens = Number(rows.at(-1)![TOKENS]);
  const x = (tokens: number) => LEFT + tokens / lastTokens * (WIDTH - LEFT - RIGHT);
  const y = (loss: number) => {
    const share = Math.log(Math.min(HIGHEST, Math.max(LOWEST, loss)) / LOWEST) / Math.log(HIGHEST / LOWEST);
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);
  };
  const text = (atX: number, atY: number, content: string, attributes = "") =>
    `<text x="${atX.toFixed(1)}" y="${atY.toFixed(1)}" ${attributes}>${content}</text>`;

  const parts = [text(LEFT, 24, "Training loss of Ebb Mini, by kind of token", 'font-size="16" font-weight="600"')];
  for (const loss of [0.01, 0.1, 1, 10]) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(loss)}" y2="${y(loss)}" stroke="#ddd"/>`,
      text(LEFT - 8, y(loss) + 4, String(loss), 'text-anchor="end"'),
    );
  }
  for (let millions = 0; millions * 1e6 <= lastTokens; millions += TICK_MILLIONS) {
    const at = x(millions * 1e6);
    parts.push(
      `<line x1="${at}" x2="${at}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM + 5}" stroke="#888"/>`,
      text(at, HEIGHT - BOTTOM + 18, String(millions), 'text-anchor="middle"'),
    );
  }
  parts.push(
    text(LEFT, TOP - 6, "Loss, nats"),
    text(LEFT, HEIGHT - 6, "Tokens seen, millions; dashed: from here on, prompts of a new length"),
  );
  const seen = new Set<string>();
  let labelled = -Infinity;
  rows.forEach((row, i) => {
    if (seen.has(row[LENGTH])) return;
    seen.add(row[LENGTH]);
    const at = x(i === 0 ? 0 : Number(rows[i - 1][TOKENS]));
    parts.push(
      `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#bbb" stroke-dasharray="3 3"/>`,
    );
    if (at - labelled < LABEL_WIDTH) return;
    parts.push(text(at + 4, TOP + 12, `rows of ${row[LENGTH]}`, 'fill="#666"'));
    labelled = at;
  });
  CURVES.forEach(({ name, column, colour }, i) => {
    const known = rows.filter((row) => row[column] !== "");
    const step = Math.max(1, Math.ceil(known.length / POINTS));
    const points: string[] = [];
    for (let start = 0; start < known.length; start += step) {
      const group = known.slice(start, start + step);
      const mean = (of: number) => group.reduce((sum, row) => sum + Number(row[of]), 0) / group.length;
      points.push(`${x(mean(TOKENS)).toFixed(1)},${y(mean(column)).toFixed(1)}`);
    }
    parts.push(
      `<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      text(WIDTH - RIGHT + 12, TOP + 20 + 20 * i, name, `fill="${colour}" font-weight="600"`),
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" ` +
    `font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12">\n` +
    `<rect width="100%" height="100%" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`;
}

if (import.meta.main) {
  const [log, out] = Deno.args;
  await Deno.writeTextFile(out, lossCurve(await Deno.readTextFile(log)));
}
