/**
 * @file Stage: the tests of everything that runs on the GPU, each file in a process of its own, so that one that brings the
 * driver down leaves the others their say. They run several at a time where there are processors for it.
 */
import { type ProcessOutcome, runProcess } from "./process.ts";
import type { TestResults } from "./results.ts";
import { TapReader } from "./tap.ts";

const REPOSITORY = new URL("../../", import.meta.url);

/** Folders of tests/, what everything else builds on first. The tests of this command are not among them. */
const FOLDERS = ["kernels", "gpu", "model", "compression", "cache", "engine"];
/** What a test of this command can bear. */
const QUICK_FILES = ["tests/kernels/forward/swiglu_test.ts"];

/** A file that takes longer hangs. */
const FILE_SECONDS = 150;
const MOST_AT_ONCE = 6;

/** What a stage that runs in this process is given. */
export interface TestStage {
  readonly seconds: number;
  readonly quick: boolean;
  readonly signal: AbortSignal;
  readonly report: (results: TestResults) => void;
  readonly progress: (line: string) => void;
}

/** Runs the tests; what is not begun when the time is up is left out. */
export async function runTests({ seconds, quick, signal, report, progress }: TestStage): Promise<ProcessOutcome> {
  const begun = performance.now();
  const remaining = () => seconds - (performance.now() - begun) / 1000;
  const files = quick ? QUICK_FILES : (await Promise.all(FOLDERS.map((folder) => testFiles(`tests/${folder}`)))).flat();
  let results: TestResults = { passed: 0, failed: 0, skipped: 0, files: files.length, filesRun: 0, failures: [] };
  const waiting = [...files];
  let isCutShort = false;
  const runFiles = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      if (remaining() <= 0 || signal.aborted) {
        isCutShort = true;
        return;
      }
      const limit = Math.min(FILE_SECONDS, remaining());
      const { outcome, tap } = await runFile(file, limit, signal);
      isCutShort ||= outcome.status === "out of time" && limit < FILE_SECONDS;
      const failures = tap.failures.map((failure) => ({ file, ...failure }));
      // A file that fails without a failing test has crashed, hung or could not be loaded.
      const brokeOff = outcome.status !== "done" && failures.length === 0 && !isCutShort && !signal.aborted;
      if (brokeOff) failures.push({ file, name: "the whole file", message: outcome.error ?? outcome.status });
      results = {
        ...results,
        passed: results.passed + tap.passed,
        skipped: results.skipped + tap.skipped,
        failed: results.failed + failures.length,
        filesRun: results.filesRun + 1,
        failures: [...results.failures, ...failures],
      };
      report(results);
      for (const { name, message } of failures) progress(`FAILED ${file}: ${name}: ${message.split("\n")[0]}`);
    }
  };
  const atOnce = Math.max(1, Math.min(MOST_AT_ONCE, Math.floor(navigator.hardwareConcurrency / 2)));
  await Promise.all(Array.from({ length: atOnce }, runFiles));
  const { passed, failed, filesRun } = results;
  progress(`${passed} passed, ${failed} failed, in ${filesRun} of ${files.length} files`);
  if (signal.aborted) return { status: "interrupted" };
  if (isCutShort) return { status: "out of time", error: `${filesRun} of ${files.length} files were begun in time` };
  return { status: "done" };
}

async function runFile(file: string, seconds: number, signal: AbortSignal) {
  const tap = new TapReader();
  const outcome = await runProcess({
    command: Deno.execPath(),
    args: ["test", "-A", "--cached-only", "--no-check", "--reporter=tap", new URL(file, REPOSITORY).pathname],
    directory: REPOSITORY.pathname,
    seconds,
    signal,
    onLine: (line) => tap.read(line),
  });
  return { outcome, tap };
}

/** Paths from the repository's root, in order. */
async function testFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, REPOSITORY))) {
      if (isDirectory) found.push(...await testFiles(`${folder}/${name}`));
      else if (name.endsWith("_test.ts")) found.push(`${folder}/${name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort();
}
