/** @file Reads what `deno test --reporter=tap` says (https://testanything.org/tap-version-14-specification.html). */

const RESULT = /^(not )?ok \d+ - (.*?)(?<!\\) ?(# SKIP)?$/;
/** Of a failure's message: enough to know what it is. */
const MESSAGE_LENGTH = 1500;
// deno-lint-ignore no-control-regex
const COLOURS = /\u001b\[[\d;]*m/g;

/** Counts results as lines arrive. */
export class TapReader {
  passed = 0;
  skipped = 0;
  readonly failures: { name: string; message: string }[] = [];

  read(line: string): void {
    const result = RESULT.exec(line);
    if (result !== null) {
      const [, failed, escaped, skip] = result;
      const name = escaped.replaceAll("\\#", "#");
      if (skip !== undefined) this.skipped++;
      else if (failed === undefined) this.passed++;
      else this.failures.push({ name, message: "" });
      return;
    }
    const last = this.failures.at(-1);
    // Diagnostics are a line of JSON within a block of YAML.
    if (last === undefined || last.message !== "" || !line.startsWith("  {")) return;
    try {
      last.message = String(JSON.parse(line).message).replace(COLOURS, "").slice(0, MESSAGE_LENGTH);
    } catch {
      last.message = line.trim().slice(0, MESSAGE_LENGTH);
    }
  }
}
