/** @file Where benchmarks write their results and figures, and read them back. */
import { mkdir, writeFile } from "node:fs/promises";
import { formatReport, type Report } from "../src/eval/report.ts";

const REPOSITORY = new URL("../", import.meta.url);

/** Folders of reports and of figures; quick ones are not worth keeping. */
const RESULTS = { full: "bench/results", quick: "bench/out" };
const FIGURES = { full: "docs/figures", quick: "bench/out" };

/** Writes a report as JSON and returns the file's name. */
export function writeReport(report: Report<unknown>): Promise<string> {
  const folder = report.quick ? RESULTS.quick : RESULTS.full;
  return write(`${folder}/${report.benchmark}.json`, formatReport(report));
}

/** Writes a figure and returns the file's name. */
export function writeFigure(name: string, svg: string, quick: boolean): Promise<string> {
  return write(`${quick ? FIGURES.quick : FIGURES.full}/${name}.svg`, svg);
}

async function write(name: string, content: string): Promise<string> {
  const file = new URL(name, REPOSITORY);
  await mkdir(new URL(".", file), { recursive: true });
  await writeFile(file, content);
  return name;
}

/** Reads a report back, or returns undefined where it has not been measured. */
export async function readReport<Results>(benchmark: string, quick: boolean): Promise<Report<Results> | undefined> {
  const name = `${quick ? RESULTS.quick : RESULTS.full}/${benchmark}.json`;
  try {
    return JSON.parse(await Deno.readTextFile(new URL(name, REPOSITORY)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
