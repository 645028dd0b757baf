/**
 * @file `deno run -A tools/mutation/main.ts RESULTS.jsonl [PART-OF-A-PATH]`: makes one fault at a time in a copy of the project
 * and runs the tests that must notice it. Reports those that no test noticed. A run that was stopped goes on where it was,
 * from the file of results; a fault whose lines have changed since is tried again.
 *
 * With `--random SEED [--count N]` the faults are drawn (random_faults.ts) instead of those of mutations.ts.
 */
import { dirname, join } from "node:path";
import { count, readArguments, runProgram } from "../../fixtures/program.ts";
import { EXIT_CODES, ExitError } from "../../src/cli/exit_codes.ts";
import { type Mutation, MUTATIONS } from "./mutations.ts";
import { randomFaults } from "./random_faults.ts";

/** What became of a fault. */
interface Outcome {
  readonly key: string;
  readonly outcome: "noticed" | "survived";
  readonly seconds: number;
}

/** After so long, tests count as not ended, which is noticed. */
const LIMIT_MILLISECONDS = 3 * 60_000;
const ROOT = new URL("../../", import.meta.url).pathname;

/** The source with the fault. @throws {Error} where it cannot be made in one place alone */
export function withFault(source: string, { file, from, to }: Mutation): string {
  const [before, after, ...more] = source.split(from);
  if (after === undefined || more.length > 0) {
    throw new Error(
      `${file} must hold ${JSON.stringify(from)} once, but does ${after === undefined ? "not" : "more often"}`,
    );
  }
  return before + to + after;
}

const keyOf = ({ file, from, to }: Mutation) => JSON.stringify([file, from, to]);

async function outcomesOf(path: string): Promise<Map<string, Outcome>> {
  const text = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  const outcomes = text.split("\n").filter(Boolean).map((line): Outcome => JSON.parse(line));
  return new Map(outcomes.map((outcome) => [outcome.key, outcome]));
}

/** Copies what git knows of, and what it would take. */
async function copyProject(to: string): Promise<void> {
  const { stdout } = await new Deno.Command("git", {
    args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd: ROOT,
  }).output();
  for (const path of new TextDecoder().decode(stdout).split("\0").filter(Boolean)) {
    await Deno.mkdir(join(to, dirname(path)), { recursive: true });
    // What has been deleted and not committed is still listed.
    await Deno.copyFile(join(ROOT, path), join(to, path)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** Whether all tests pass. */
async function passes(folder: string, tests: readonly string[]): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--quiet", "--fail-fast", ...tests],
    cwd: folder,
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(LIMIT_MILLISECONDS),
  }).spawn();
  return (await child.status).success;
}

async function main(results: string, chosen: readonly Mutation[]): Promise<number> {
  const known = await outcomesOf(results);
  const open = chosen.filter((mutation) => !known.has(keyOf(mutation)));
  const folder = await Deno.makeTempDir({ prefix: "ebb-mutation-" });
  try {
    if (open.length > 0) await copyProject(folder);
    for (const [at, mutation] of open.entries()) {
      const path = join(folder, mutation.file);
      const source = await Deno.readTextFile(path);
      await Deno.writeTextFile(path, withFault(source, mutation));
      const start = performance.now();
      const survived = await passes(folder, mutation.tests);
      await Deno.writeTextFile(path, source);
      const seconds = Math.round((performance.now() - start) / 1000);
      const outcome: Outcome = { key: keyOf(mutation), outcome: survived ? "survived" : "noticed", seconds };
      known.set(outcome.key, outcome);
      await Deno.writeTextFile(results, `${JSON.stringify(outcome)}\n`, { append: true });
      console.error(`${at + 1} of ${open.length}: ${outcome.outcome} in ${seconds} s: ${outcome.key}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const survivors = chosen.filter((mutation) => known.get(keyOf(mutation))!.outcome === "survived");
  console.log(`${chosen.length - survivors.length} of ${chosen.length} faults were noticed`);
  for (const { file, from, to } of survivors) console.log(`\n${file}\n- ${from}\n+ ${to}`);
  return survivors.length > 0 ? EXIT_CODES.failure.code : EXIT_CODES.ok.code;
}

const USAGE = "Usage: deno run -A tools/mutation/main.ts RESULTS.jsonl [PART-OF-A-PATH] [--random SEED [--count N]]";

async function run(args: string[]): Promise<number> {
  const { values: { random, count: drawn }, positionals: [results, part = ""] } = readArguments({
    args,
    options: { random: { type: "string" }, count: { type: "string", default: "100" } },
    allowPositionals: true,
  });
  if (results === undefined) throw new ExitError("usage", `A file for the results is missing. ${USAGE}`);
  return await main(
    results,
    random === undefined
      ? MUTATIONS.filter(({ file }) => file.includes(part))
      : await randomFaults(ROOT, count("--random", random), count("--count", drawn), part),
  );
}

if (import.meta.main) await runProgram(USAGE, run);
