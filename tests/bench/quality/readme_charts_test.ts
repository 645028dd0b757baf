import assert from "node:assert/strict";
import { COMPARISONS } from "../../../bench/quality/plan.ts";
import { readmeCharts } from "../../../bench/quality/readme_charts.ts";
import { readReport } from "../../../bench/report.ts";
import type { ComparisonResults } from "../../../src/eval/comparison/results.ts";

const reports = Object.fromEntries(
  await Promise.all(COMPARISONS.map(async ({ name }) => {
    const report = await readReport<ComparisonResults>(`quality-${name}`, false);
    assert.ok(report, `bench/results/ has no results of ${name}`);
    return [name, report] as const;
  })),
);

Deno.test("a bar of the picture of situations has the number of the results", () => {
  const { averages } = reports.decoding.results;
  const { percentOfFull } = averages.find(({ policy, budget }) => policy === "keydiff" && budget === "20%")!;
  const [, panel] = readmeCharts(reports)["policies-by-situation"].split("Evicting while tokens are generated");
  const texts = [...panel.matchAll(/<text[^>]*>([^<]*)</g)].map(([, content]) => content);
  assert.equal(texts[texts.indexOf("keydiff") + 1], percentOfFull!.toFixed(0));
});
