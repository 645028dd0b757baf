/**
 * @file `deno task quality [NAME ...]`: runs the comparisons of plan.ts, all or those named, and makes docs/quality.md and
 * the README's pictures.
 *
 * Results go to bench/results/, figures to docs/figures/. A run that was stopped goes on from its answers, which stay beside the
 * results and are not kept in the repository; one with more samples or policies asks only what is new. Comparisons that
 * have not been run are left out of the page. `deno task quality draw` measures nothing and draws what there is.
 *
 * `deno task quality --model FILE --out FOLDER [--records FOLDER] [--samples N] [NAME ...]` runs those of real_model.ts on any other model,
 * on the CPU. Results, figures and answers go to the folder, from which a run that was stopped goes on; the page stays as it is.
 */
import { count, readArguments, runProgram } from "../../fixtures/program.ts";
import { EVAL_COMPARE_FLAGS } from "../../src/cli/flags/measuring.ts";
import { evalCompare, runComparison } from "../../src/cli/eval.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { parseOptions } from "../../src/cli/parse_options.ts";
import { reportOf } from "../../src/eval/report.ts";
import { readReport, writeFigure, writeReport } from "../report.ts";
import { comparisonCharts } from "../../src/eval/comparison/comparison_charts.ts";
import { comparisonTables, compressionStatement } from "../../src/eval/comparison/comparison_table.ts";
import { COMPARISONS, CONTENDERS, type PlannedComparison } from "./plan.ts";
import { REAL_COMPARISONS } from "./real_model.ts";
import { type MeasuredComparison, withResults } from "./quality_page.ts";
import { readmeCharts, type Reports } from "./readme_charts.ts";
import type { ComparisonResults } from "../../src/eval/comparison/results.ts";

const PAGE = new URL("../../docs/quality.md", import.meta.url).pathname;
/** In place of comparisons. */
const DRAW = "draw";
const ANSWERS = new URL("../results/", import.meta.url).pathname;

async function measure(planned: PlannedComparison): Promise<void> {
  const { name, title, about: _, ...asked } = planned;
  console.error(`\n${title} (${name})`);
  const answersFile = `${ANSWERS}quality-${name}.answers.jsonl`;
  // The defaults of `eval compare`, without what the environment says.
  const defaults = parseOptions(["--out", "none"], EVAL_COMPARE_FLAGS, {});
  const started = performance.now();
  const results = await runComparison({ ...defaults, ...CONTENDERS, ...asked }, answersFile);
  console.log(`\n${comparisonTables(results.tasks)}\n\n${compressionStatement(results.tasks, results.mode)}\n`);
  console.log(`Written: ${await writeReport(reportOf(`quality-${name}`, false, results))}`);
  console.error(`${name}: ${((performance.now() - started) / 60_000).toFixed(1)} min`);
}

async function draw(planned: PlannedComparison): Promise<MeasuredComparison[]> {
  const report = await readReport<ComparisonResults>(`quality-${planned.name}`, false);
  if (report === undefined) return [];
  const charts = comparisonCharts(report.results);
  for (const [figure, svg] of Object.entries(charts)) {
    console.log(`Drawn: ${await writeFigure(`quality-${planned.name}-${figure}`, svg, false)}`);
  }
  return [{ planned, report, figures: Object.keys(charts) }];
}

/** The README's pictures take every comparison. */
async function drawReadme(reports: Reports): Promise<void> {
  if (COMPARISONS.some(({ name }) => reports[name] === undefined)) return;
  for (const [figure, svg] of Object.entries(readmeCharts(reports))) {
    console.log(`Drawn: ${await writeFigure(figure, svg, false)}`);
  }
}

function requireNames(names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new ExitError("usage", `There is no comparison "${unknown}": expected one of ${known.join(", ")}`);
}

const namesOf = (planned: readonly PlannedComparison[]) => planned.map(({ name }) => name);

/** Another model than the one that comes with Ebb. */
async function measureModel(
  model: string,
  { out, records, samples }: { readonly out?: string; readonly records?: string; readonly samples?: string },
  names: readonly string[],
): Promise<void> {
  if (out === undefined) throw new ExitError("usage", "--out is missing: a folder for results, figures and answers");
  requireNames(names, namesOf(REAL_COMPARISONS));
  await Deno.mkdir(out, { recursive: true });
  const given = ["--model", model, "--device", "cpu", ...samples === undefined ? [] : ["--samples", samples]];
  for (const { name, title, about: _, ...asked } of REAL_COMPARISONS) {
    const isNamed = names.length === 0 ? asked.suite !== "longbench" || records !== undefined : names.includes(name);
    if (!isNamed) continue;
    console.error(`\n${title} (${name})`);
    const options = parseOptions([...given, "--out", `${out}/${name}.json`], EVAL_COMPARE_FLAGS, {});
    const started = performance.now();
    await evalCompare({
      ...options,
      ...asked,
      samples: samples === undefined ? asked.samples : options.samples,
      ...asked.suite === "longbench" && { records },
    });
    console.error(`${name}: ${((performance.now() - started) / 60_000).toFixed(1)} min`);
  }
}

const USAGE = `Usage: deno task quality [${namesOf(COMPARISONS).join("|")} ...]
       deno task quality ${DRAW}
       deno task quality --model FILE --out FOLDER [--records FOLDER] [--samples N] [${
  namesOf(REAL_COMPARISONS).join("|")
} ...]`;

async function main(args: string[]): Promise<void> {
  const text = { type: "string" } as const;
  const options = { model: text, out: text, records: text, samples: text };
  const { values, positionals: names } = readArguments({ args, options, allowPositionals: true });
  if (values.samples !== undefined) count("--samples", values.samples);
  if (values.model !== undefined) return await measureModel(values.model, values, names);
  const [idle] = Object.keys(values);
  if (idle !== undefined) {
    throw new ExitError("usage", `--${idle} means nothing without --model: give both, or leave it out`);
  }
  requireNames(names, [...namesOf(COMPARISONS), DRAW]);
  const isDrawing = names.length === 1 && names[0] === DRAW;
  for (const planned of isDrawing ? [] : COMPARISONS) {
    if (names.length === 0 || names.includes(planned.name)) await measure(planned);
  }
  const measured = (await Promise.all(COMPARISONS.map(draw))).flat();
  await drawReadme(Object.fromEntries(measured.map(({ planned, report }) => [planned.name, report])));
  await Deno.writeTextFile(PAGE, withResults(await Deno.readTextFile(PAGE), measured));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).output();
  console.log("Written: docs/quality.md");
}

await runProgram(USAGE, main);
