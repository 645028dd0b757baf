import assert from "node:assert/strict";
import type { CompressionResults } from "../../bench/compression.ts";
import type { KernelResults } from "../../bench/kernel_results.ts";
import { bytesChart, kernelsChart } from "../../bench/plot.ts";
import { COMPARISONS } from "../../bench/quality/plan.ts";
import { readmeCharts, type Reports } from "../../bench/quality/readme_charts.ts";
import { readReport } from "../../bench/report.ts";
import { comparisonCharts } from "../../src/eval/comparison/comparison_charts.ts";
import type { ComparisonResults } from "../../src/eval/comparison/results.ts";

/** Every figure that is drawn from results which are kept. */
async function figures(): Promise<Record<string, string>> {
  const kernels = (await readReport<KernelResults>("kernels", false))!;
  const compression = (await readReport<CompressionResults>("compression", false))!;
  const reports: Record<string, Reports[string]> = {};
  const quality: Record<string, string> = {};
  for (const { name } of COMPARISONS) {
    const report = await readReport<ComparisonResults>(`quality-${name}`, false);
    if (report === undefined) continue;
    reports[name] = report;
    for (const [figure, svg] of Object.entries(comparisonCharts(report.results))) {
      quality[`quality-${name}-${figure}`] = svg;
    }
  }
  return {
    "kernel-speed": kernelsChart(kernels),
    "kv-cache-bytes": bytesChart(compression),
    ...quality,
    ...readmeCharts(reports),
  };
}

Deno.test("The figures of the documentation are those that `deno task quality draw` and `deno task bench plot` draw", async () => {
  const folder = new URL("../../docs/figures/", import.meta.url);
  const drawn = await figures();
  const kept = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".svg"));
  assert.deepEqual(kept.sort(), Object.keys(drawn).map((name) => `${name}.svg`).sort());
  for (const [name, svg] of Object.entries(drawn)) {
    assert.ok(svg === await Deno.readTextFile(new URL(`${name}.svg`, folder)), `${name}.svg is not what is drawn now`);
  }
});
