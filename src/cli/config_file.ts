/** @file A command's options in a JSON file, named as the flags are: `{"max-batch": 8, "allowed-hosts": ["ebb.example"]}`. */
import { ExitError } from "./exit_codes.ts";
import { flagName } from "./option_names.ts";
import { nearest } from "../text/nearest.ts";
import type { AnyFlag } from "./values.ts";
import { systemReason } from "../formats/system_reason.ts";

/** An option as text, and how its place is called. */
export interface Given {
  readonly name: string;
  readonly text: string;
}

/** The options that a file cannot set. */
const OF_THE_COMMAND_LINE = ["config", "printConfig"];

/** @throws {ExitError} naming the file and what in it is wrong */
export function readConfigFile(
  path: string,
  flags: Readonly<Record<string, AnyFlag>>,
  read: (path: string) => string = Deno.readTextFileSync,
): Map<string, Given> {
  let entries: unknown;
  try {
    entries = JSON.parse(read(path));
  } catch (error) {
    // What is wrong is shown with what is around it, line breaks too.
    const reason = systemReason(error).replaceAll(/\s+/g, " ");
    throw new ExitError("usage", `--config ${path} cannot be read: ${reason}`);
  }
  if (typeof entries !== "object" || entries === null || Array.isArray(entries)) {
    throw new ExitError("usage", `--config ${path} must hold a JSON object`);
  }
  const options = Object.keys(flags).filter((option) => !OF_THE_COMMAND_LINE.includes(option));
  const names = new Map(options.map((option) => [keyOf(option), option]));
  const given = new Map<string, Given>();
  for (const [key, value] of Object.entries(entries)) {
    const option = names.get(key);
    if (option === undefined) {
      const near = nearest(key, [...names.keys()]);
      const advice = near
        ? `did you mean ${JSON.stringify(near)}?`
        : "options are named as the flags are, without dashes in front";
      throw new ExitError("usage", `${path} has an unknown option ${JSON.stringify(key)}: ${advice}`);
    }
    // As if it were left out.
    if (value === null) continue;
    given.set(option, { name: `${JSON.stringify(key)} in ${path}`, text: textOf(value, flags[option].repeats) });
  }
  return given;
}

/** Options as such a file holds them; keys of clients are not shown. */
export function configText(
  options: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, AnyFlag>>,
): string {
  const shown = Object.keys(flags).filter((option) => !OF_THE_COMMAND_LINE.includes(option)).map((option) => {
    const value = options[option] ?? null;
    return [keyOf(option), flags[option].isSecret && value !== null ? "***" : value];
  });
  return JSON.stringify(Object.fromEntries(shown), null, 2);
}

/** `maxBatch` is `"max-batch"`. */
function keyOf(option: string): string {
  return flagName(option).slice(2);
}

/** A value as it would follow its flag. */
function textOf(value: unknown, separator = ","): string {
  return Array.isArray(value)
    ? value.join(separator)
    : typeof value === "object"
    ? JSON.stringify(value)
    : String(value);
}
