/** @file What every benchmark writes: a JSON file that says where and when it was measured, and a table for people. */
import { mkdir, writeFile } from "node:fs/promises";

/** A benchmark's results and their circumstances. */
export interface Report<Results> {
  readonly benchmark: string;
  /** ISO 8601. */
  readonly date: string;
  readonly deno: string;
  readonly platform: string;
  readonly cpuThreads: number;
  readonly quick: boolean;
  readonly results: Results;
}

const REPOSITORY = new URL("../", import.meta.url);

/** Folders of reports and of figures; quick ones are not worth keeping. */
const RESULTS = { full: "bench/results", quick: "bench/out" };
const FIGURES = { full: "docs", quick: "bench/out" };

/** Adds the circumstances to results. */
export function reportOf<Results>(benchmark: string, quick: boolean, results: Results): Report<Results> {
  return {
    benchmark,
    date: new Date().toISOString(),
    deno: Deno.version.deno,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    cpuThreads: navigator.hardwareConcurrency,
    quick,
    results,
  };
}

/** Writes a report as JSON and returns the file's name. */
export function writeReport(report: Report<unknown>): Promise<string> {
  const folder = report.quick ? RESULTS.quick : RESULTS.full;
  return write(`${folder}/${report.benchmark}.json`, formatReport(report));
}

/** A report as JSON. */
export function formatReport(report: Report<unknown>): string {
  return JSON.stringify(report, rounded, 2) + "\n";
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

/** Six digits say all that a measurement knows. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
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

/** A table with its columns aligned: numbers to the right, words to the left. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const isNumeric = header.map((_, column) => rows.every((row) => /^(\d|$)/.test(row[column])));
  const format = (line: readonly string[]) =>
    line.map((cell, column) => isNumeric[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))
      .join("  ").trimEnd();
  return [format(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(format)].join("\n");
}

/** Three significant digits, and all digits of numbers above a thousand. */
export function digits(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
