/** @file What a load came to, as a table for terminals and as a picture. */
import { drawChart, type Series } from "../../charts/svg.ts";
import { digits, table } from "../../charts/text_table.ts";
import { type LoadSummary, type TimeName, TIMES } from "./summary.ts";

const ROWS = ["mean", 50, 90, 95, 99] as const;
const SERIES: Series = { name: "milliseconds", colour: "#4477aa" };

/** Times by name. */
function spreads({ times }: LoadSummary) {
  return (Object.keys(TIMES) as TimeName[]).map((name) => ({ name, title: TIMES[name], spread: times[name] }));
}

/** Tables for a terminal. */
export function loadTables(summary: LoadSummary): string {
  const { requestGoodput } = summary;
  const counts: [string, string][] = [
    ["Requests answered", String(summary.completed)],
    ["Requests failed", String(summary.failed)],
    ["Duration (s)", digits(summary.duration)],
    ["Tokens in", String(summary.inputTokens)],
    ["Tokens out", String(summary.outputTokens)],
    ["Requests per second", digits(summary.requestThroughput)],
    ...requestGoodput === null
      ? []
      : [["Requests per second within the limits", digits(requestGoodput)] as [string, string]],
    ["Tokens out per second", digits(summary.outputThroughput)],
    ["Tokens in and out per second", digits(summary.totalTokenThroughput)],
  ];
  return [
    table(["", ""], counts),
    table(
      ["Milliseconds", "mean", "std", "p50", "p90", "p95", "p99"],
      spreads(summary).map(({ title, spread: { mean, std, percentiles } }) => [
        title,
        ...[mean, std, ...Object.values(percentiles)].map(digits),
      ]),
    ),
  ].join("\n\n");
}

/** A picture of the times. @param notes how it was measured, one line each */
export function loadChart(summary: LoadSummary, notes: readonly string[]): string {
  return drawChart({
    title: "Times of requests under load",
    notes,
    series: [],
    columns: 2,
    panelWidth: 380,
    panels: spreads(summary).map(({ title, spread }) => ({
      title,
      axis: "milliseconds",
      rows: ROWS.map((row) => ({
        label: row === "mean" ? row : `p${row}`,
        bars: [{ segments: [{ series: SERIES, value: row === "mean" ? spread.mean : spread.percentiles[row] }] }],
      })),
    })),
  });
}
