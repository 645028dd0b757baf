/**
 * @file `deno task test`: finds or installs a WebGPU adapter, runs the tests, and repeats the count in one line.
 *
 *     deno task test                                   # everything
 *     deno task test tests/cli --filter "help"         # arguments go to `deno test`
 */
import { ensureAdapter } from "../src/serving/environment.ts";
import { EXIT_CODES } from "../src/cli/exit_codes.ts";
import { NoAdapterError } from "../src/gpu/gpu.ts";

const SUMMARY = /(\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?: \(\d+ steps?\))?(?: \| (\d+) ignored)?/g;

/** The counts of `deno test`'s last line, such as `ok | 12 passed (3 steps) | 0 failed | 2 ignored (4s)`. */
export function closingLine(output: string): string | undefined {
  const summary = [...output.matchAll(SUMMARY)].at(-1);
  if (summary === undefined) return undefined;
  const [, passed, failed, skipped = "0"] = summary;
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    await ensureAdapter(console.error);
  } catch (error) {
    if (!(error instanceof NoAdapterError)) throw error;
    console.error(error.message);
    return EXIT_CODES.noAdapter.code;
  }
  const tests = new Deno.Command(Deno.execPath(), {
    // Deno leaves both sanitizers off unless asked; they find what a test, or the code under it, forgot to close.
    args: ["test", "-A", "--sanitize-ops", "--sanitize-resources", ...(args.length > 0 ? args : ["tests/"])],
    stdout: "piped",
  }).spawn();
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of tests.stdout) {
    await Deno.stdout.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const { code } = await tests.status;
  console.log(closingLine(output) ?? "The tests could not be run: see the error above");
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
