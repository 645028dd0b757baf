/**
 * @file The kernel benchmarks in a process of their own: `deno run -A --lock=bench/deno.lock bench/kernels_main.ts [--quick]`.
 *
 * Their peer has its own lock file: Deno installs whatever a lock file names, also where nobody imports it.
 */
import { reportOf } from "../src/eval/report.ts";
import { benchmarkKernels } from "./kernels.ts";
import { writeReport } from "./report.ts";
import { kernelsText } from "./tables.ts";

const quick = Deno.args.includes("--quick");
try {
  const results = await benchmarkKernels({ quick }, (line) => console.error(line));
  console.log(`\n${kernelsText(results)}\n`);
  console.log(`Written: ${await writeReport(reportOf("kernels", quick, results))}`);
  Deno.exit(0);
} catch (error) {
  console.error((error as Error).message);
  Deno.exit(1);
}
