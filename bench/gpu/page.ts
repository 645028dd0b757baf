/**
 * @file `deno task bench report`: the part of docs/benchmarks.md that tells of GPUs, from every bench/results/gpu-*.json.
 *
 * The part lies between two comments; what is around them is written by people.
 */
import type { Report } from "../../src/eval/report.ts";
import { writeFigure } from "../report.ts";
import { findings } from "./findings.ts";
import { profileChart } from "./profile_chart.ts";
import type { GpuResults } from "./results.ts";

const BEGIN = "<!-- What follows is written by `deno task bench report`. -->";
const END = "<!-- What precedes was written by `deno task bench report`. -->";
const INTRODUCTION = `## GPUs

\`deno task bench gpu\` finds out in some minutes what Ebb does on a machine's GPU: whether the tests of kernels, model,
cache and engine pass there and golden models give llama.cpp's tokens; how fast a model of Llama 3 8B's shape, with random
weights, decodes and reads prompts; where the time goes, kernel by kernel; and how PyTorch and llama.cpp fare on the same
card, where they are installed. It asks no network and needs 6 GB of disk until it ends. \`--minutes 8\` is how long it
may take, \`--shape llama-3.2-1b\` takes a smaller model, and \`--peers DIRECTORY\` names a directory with node-llama-cpp in
its node_modules. Everything known at any moment lies in \`bench/out/gpu.json\`: as \`bench/results/gpu-NAME.json\` it comes
onto this page with \`deno task bench report\`.`;
const RESULTS = new URL("../results/", import.meta.url);
const PAGE = new URL("../../docs/benchmarks.md", import.meta.url);

/** A report, and what its file's name calls it: gpu-NAME.json. */
export interface NamedReport {
  readonly name: string;
  readonly report: Report<GpuResults>;
}

/**
 * Writes the part and its pictures again.
 *
 * @returns the files written
 */
export async function writeGpuPage(): Promise<string[]> {
  const reports = await readReports();
  const figures: string[] = [];
  for (const { name, report } of reports) {
    const chart = profileChart(report.results);
    if (chart !== undefined) figures.push(await writeFigure(`gpu-${name}`, chart, false));
  }
  await Deno.writeTextFile(PAGE, withGpuPart(await Deno.readTextFile(PAGE), reports));
  // Lines are broken, and tables aligned, as everywhere in the repository.
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE.pathname] }).output();
  return [...figures, "docs/benchmarks.md"];
}

async function readReports(): Promise<NamedReport[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(RESULTS)) {
    const found = /^gpu-(.+)\.json$/.exec(name);
    if (found !== null) names.push(found[1]);
  }
  return await Promise.all(
    names.sort().map(async (name) => ({
      name,
      report: JSON.parse(await Deno.readTextFile(new URL(`gpu-${name}.json`, RESULTS))),
    })),
  );
}

/** The page with its part made anew, or with one at its end if it had none. */
export function withGpuPart(page: string, reports: readonly NamedReport[]): string {
  const part = `${BEGIN}\n\n${gpuPart(reports)}\n\n${END}`;
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) return `${page.trimEnd()}\n\n${part}\n`;
  return page.slice(0, begin) + part + page.slice(end + END.length);
}

function gpuPart(reports: readonly NamedReport[]): string {
  if (reports.length === 0) return `${INTRODUCTION}\n\nNobody has run it on one yet.`;
  return [INTRODUCTION, "Figures are of the adapter that their heading names.", ...reports.map(describe)].join("\n\n");
}

function describe({ name, report: { date, deno, platform, cpuThreads, results } }: NamedReport): string {
  const { adapter, card, shape, weights, stages } = results;
  const circumstances = [
    `${shape} with random ${weights} weights`,
    ...(card ? [card] : []),
    `${platform}, ${cpuThreads} CPU threads, Deno ${deno}, ${date.slice(0, 10)}`,
  ];
  const hasChart = (stages.profile?.results?.profiles.length ?? 0) > 0;
  return [
    `### ${adapter}`,
    `${circumstances.join("; ")}.`,
    ...findings(results).flatMap(({ title, notes, tables }) => [
      `#### ${title}`,
      ...(notes.length > 0 ? [notes.map((note) => `- ${escaped(note)}`).join("\n")] : []),
      ...tables.map(({ header, rows }) => markdownTable(header, rows)),
      ...(title === PROFILE_TITLE && hasChart ? [`![${title} on ${adapter}](figures/gpu-${name}.svg)`] : []),
    ]),
  ].join("\n\n");
}

const PROFILE_TITLE = "Where the time goes";

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, header.map(() => "---"), ...rows.map((row) => row.map(escaped))];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** What Markdown would take for something else: of a message, or of a kernel's name. */
function escaped(text: string): string {
  return text.replaceAll(/[\\`*_<>|]/g, "\\$&");
}
