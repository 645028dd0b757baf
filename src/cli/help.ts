/** @file The texts of `--help`, made from the tables of commands, flags and exit codes. */
import { type Command, COMMANDS } from "./commands.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { environmentName, flagName } from "./option_names.ts";

/** What users type: the compiled program is one file. */
const PROGRAM = Deno.build.standalone ? "ebb" : "main.ts";

/** `main.ts --help`. */
export function programHelp(): string {
  return [
    "Ebb serves language models with a KV cache budget for every layer.",
    "",
    `Usage: ${PROGRAM} COMMAND [FLAGS]`,
    "",
    "Commands",
    ...table(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary])),
    "",
    `${PROGRAM} COMMAND --help lists a command's flags; ${PROGRAM} --version prints the version.`,
    "",
    ...exitCodes(),
  ].join("\n");
}

/** `main.ts COMMAND --help`. */
export function commandHelp(name: string): string {
  const { summary, flags, positionals = [] } = COMMANDS[name];
  const required = Object.entries(flags).filter(([, flag]) => flag.required).map(([option, { value }]) =>
    positionals.includes(option) ? value.placeholder : `${flagName(option)} ${value.placeholder}`
  );
  return [
    summary,
    "",
    `Usage: ${PROGRAM} ${[name, ...required, "[FLAGS]"].join(" ")}`,
    "",
    "Flags",
    ...table(flagRows(COMMANDS[name])),
    ...table([["--help, -h", "Print this"]]),
    "",
    `Each flag can also be set in the environment, such as ${
      Object.keys(flags).slice(0, 3).map(environmentName).join(", ")
    };`,
    "the command line wins.",
    "",
    ...exitCodes(),
  ].join("\n");
}

function flagRows({ flags }: Command): [string, string][] {
  return Object.entries(flags).map(([option, flag]) => {
    const note = flag.required
      ? " (required)"
      : flag.default !== undefined && flag.value.placeholder !== ""
      ? ` (default: ${flag.default})`
      : "";
    return [`${flagName(option)} ${flag.value.placeholder}`, flag.help + note];
  });
}

function exitCodes(): string[] {
  return ["Exit codes", ...table(Object.values(EXIT_CODES).map(({ code, meaning }) => [String(code), meaning]))];
}

const COLUMN = 26;

function table(rows: readonly (readonly [string, string])[]): string[] {
  return rows.map(([left, right]) => `  ${left.trim().padEnd(COLUMN)} ${right}`);
}
