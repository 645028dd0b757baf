/**
 * @file What the program does, recorded, so that a change which should not show can be shown not to:
 *
 *     deno run -A tools/golden/behaviour.ts record FILE [--small]
 *     deno run -A tools/golden/behaviour.ts compare FILE [--small]      exits with 1 where anything differs
 *
 * BehaviourRecord before the change and compare after it, on the same machine. tests/golden/behaviour.json is a small record, which
 * a test compares; behaviour that was changed on purpose is recorded anew with `record tests/golden/behaviour.json --small`.
 */
import { type BehaviourRecord, differences } from "./behaviour/differences.ts";
import { playComparison } from "./behaviour/comparison.ts";
import { thisMachine } from "./behaviour/machine.ts";
import { playAll } from "./behaviour/play.ts";

/** Plays everything, or the small part that a test has time for. */
export async function record(isSmall: boolean, log: (line: string) => void = () => {}): Promise<BehaviourRecord> {
  return {
    isSmall,
    machine: await thisMachine(),
    models: await playAll(isSmall, log),
    comparison: await playComparison(isSmall),
  };
}

async function main([command, file, ...flags]: readonly string[]): Promise<number> {
  const isSmall = flags.includes("--small");
  if (!["record", "compare"].includes(command) || file === undefined || flags.some((flag) => flag !== "--small")) {
    console.error("Usage: deno run -A tools/golden/behaviour.ts record|compare FILE [--small]");
    return 2;
  }
  const before = command === "compare" ? JSON.parse(await Deno.readTextFile(file)) as BehaviourRecord : undefined;
  if (before !== undefined && before.isSmall !== isSmall) {
    console.error(
      `${file} is a ${before.isSmall ? "small" : "full"} record: ${isSmall ? "leave out" : "give"} --small`,
    );
    return 2;
  }
  const now = await record(isSmall, console.error);
  if (before === undefined) {
    // One line a case, so that a change of a record can be read.
    await Deno.writeTextFile(file, linesOf(now));
    return 0;
  }
  const { lines, isExact } = differences(before, now);
  for (const line of lines) console.log(line);
  const manner = isExact ? "bit for bit" : "within rounding, for it was recorded on another machine";
  console.log(lines.length === 0 ? `Equal ${manner}` : `${lines.length} differences`);
  return lines.length === 0 ? 0 : 1;
}

/** JSON with a line for each outcome. */
function linesOf(value: unknown, depth = 0): string {
  const isOpen = depth < 4 && typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isOpen) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const inner = fields.map(([name, field]) => `${JSON.stringify(name)}: ${linesOf(field, depth + 1)}`);
  return `{\n${inner.join(",\n")}\n}${depth === 0 ? "\n" : ""}`;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
