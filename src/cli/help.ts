/** @file The texts of `--help`, made from the tables of commands, flags and exit codes. */
import { type Command, COMMANDS } from "./commands.ts";
import { BUILT_IN_POLICIES } from "../plugins/built_in.ts";
import { COMBINATION_EXAMPLE } from "../policy/registry.ts";
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
    `${PROGRAM} help COMMAND lists a command's flags; ${PROGRAM} --version prints the version.`,
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
    ...table([...flagRows(COMMANDS[name]), ["--help, -h", "Print this"]]),
    "",
    `Each flag can also be set in the environment, such as ${
      Object.keys(flags).slice(0, 3).map(environmentName).join(", ")
    };`,
    `the command line wins. ${PROGRAM} help lists the exit codes.`,
    ...namesPolicies(COMMANDS[name]) ? ["", "Policies", ...policies()] : [],
  ].join("\n");
}

const namesPolicies = ({ flags }: Command) => "policy" in flags || "policies" in flags;

/** The names of the policies that come with Ebb, and what else can be one. */
function policies(): string[] {
  const names = BUILT_IN_POLICIES.map(({ name }) => name);
  return wrapped(`${names.join(", ")}; any ${COMBINATION_EXAMPLE}; those of --plugin`);
}

/** Lines of at most 100 characters. */
function wrapped(text: string): string[] {
  const lines = [" "];
  for (const word of text.split(" ")) {
    if (`${lines.at(-1)} ${word}`.length > 100) lines.push(" ");
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines;
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

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.trim().length));
  return rows.map(([left, right]) => `  ${left.trim().padEnd(width)}  ${right}`);
}
