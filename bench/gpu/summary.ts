/** @file The results as text for a terminal. */
import { table } from "../../src/charts/text_table.ts";
import { findings } from "./findings.ts";
import type { GpuResults } from "./results.ts";

/** All that was found out. */
export function summary(results: GpuResults): string {
  const { adapter, card, shape, weights } = results;
  return [
    `${shape}, ${weights}, on ${adapter}${card ? ` (${card})` : ""}`,
    ...findings(results).map(({ title, notes, tables }) =>
      ["", title, "", ...notes, ...tables.flatMap(({ header, rows }) => ["", table(header, rows)])].join("\n")
    ),
  ].join("\n");
}
