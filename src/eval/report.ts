/** @file What every measurement is reported with: where and when it was made. */

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

/** A report as JSON. */
export function formatReport(report: Report<unknown>): string {
  return JSON.stringify(report, rounded, 2) + "\n";
}

/** Six digits say all that a measurement knows. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
