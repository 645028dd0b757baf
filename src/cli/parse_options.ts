/** @file From arguments and environment variables to options, by a table of flags. */
import { parseArgs } from "node:util";
import { type Given, readConfigFile } from "./config_file.ts";
import { ExitError } from "./exit_codes.ts";
import { nearest, suggestion } from "../text/nearest.ts";
import { environmentName, flagName } from "./option_names.ts";
import type { AnyFlag, OptionsOf } from "./values.ts";

/** Whether the arguments ask for help rather than for work; a value that happens to be "--help" does not. */
export function asksForHelp(args: readonly string[], flags: Record<string, AnyFlag>): boolean {
  return tokenize(args, flags).some((token) => token.kind === "option" && token.name === "help");
}

/**
 * Options from the command line, else from the environment, else from the file that `config` names, else the defaults.
 *
 * @param positionals the options that arguments without flags stand for, in order
 * @throws {ExitError} with the reason `usage`, naming the flag or variable, its value and what was expected
 */
export function parseOptions<Table extends Record<string, AnyFlag>>(
  args: readonly string[],
  flags: Table,
  environment: Readonly<Record<string, string | undefined>>,
  positionals: readonly (string & keyof Table)[] = [],
): OptionsOf<Table> {
  const given = readArguments(args, flags, positionals);
  const fromEnvironment = (option: string): Given | undefined => {
    const name = environmentName(option);
    // An empty variable counts as unset, as shells and container files make them.
    return environment[name] ? { name, text: environment[name] } : undefined;
  };
  const config = flags.config && (given.get("config") ?? fromEnvironment("config"));
  const file = config ? readConfigFile(config.text, flags) : undefined;
  const options: Record<string, unknown> = {};
  for (const [option, flag] of Object.entries<AnyFlag>(flags)) {
    const source = given.get(option) ?? fromEnvironment(option) ?? file?.get(option);
    if (source !== undefined) {
      options[option] = parseValue(flag, source.name, source.text);
    } else if (flag.required) {
      const wanted = positionals.includes(option) ? flag.value.placeholder : flagName(option);
      throw new ExitError(
        "usage",
        `${wanted} is missing: name ${flag.value.expectation}, or set ${environmentName(option)}`,
      );
    } else {
      options[option] = flag.default;
    }
  }
  for (const [option, { name }] of given) {
    const { needs } = flags[option];
    if (needs === undefined || options[needs]) continue;
    throw new ExitError("usage", `${name} means nothing without ${flagName(needs)}: give both, or leave it out`);
  }
  return options as OptionsOf<Table>;
}

function readArguments(
  args: readonly string[],
  flags: Record<string, AnyFlag>,
  positionals: readonly string[],
): Map<string, Given> {
  const given = new Map<string, Given>();
  for (const token of tokenize(args, flags)) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      const positional = positionals.find((option) => !given.has(option));
      if (positional === undefined) {
        const argument = JSON.stringify(token.value);
        throw new ExitError("usage", `Unexpected argument ${argument}: a value follows its flag, as in --model FILE`);
      }
      given.set(positional, { name: flags[positional].value.placeholder, text: token.value });
      continue;
    }
    const option = Object.keys(flags).find((name) => flagName(name) === token.rawName);
    if (option === undefined) throw unknownFlag(token.rawName, flags);
    const { value } = flags[option];
    if (value.placeholder === "") {
      given.set(option, { name: token.rawName, text: token.value ?? "true" });
    } else if (token.value === undefined || (!token.inlineValue && token.value.startsWith("--"))) {
      const hint = token.value === undefined ? "" : ` (a value with dashes in front is written ${token.rawName}=VALUE)`;
      throw new ExitError("usage", `${token.rawName} needs a value: ${value.expectation}${hint}`);
    } else {
      const { repeats } = flags[option];
      const before = repeats && given.get(option);
      given.set(option, { name: token.rawName, text: before ? before.text + repeats + token.value : token.value });
    }
  }
  return given;
}

function parseValue(flag: AnyFlag, name: string, text: string): unknown {
  const value = flag.value.parse(text);
  if (value === undefined) {
    const { expectation, words = [] } = flag.value;
    const slip = text.split(",").map((part) => part.trim()).find((part) => !words.includes(part)) ?? text;
    throw new ExitError(
      "usage",
      `${name} must be ${expectation}, not ${JSON.stringify(text)}${suggestion(slip, words)}`,
    );
  }
  return value;
}

function tokenize(args: readonly string[], flags: Record<string, AnyFlag>) {
  const known = Object.entries(flags).map(([option, { value }]) =>
    [flagName(option).slice(2), { type: value.placeholder === "" ? "boolean" : "string" }] as const
  );
  // Not strict: node's own errors do not say what was expected.
  return parseArgs({
    args: [...args],
    options: { ...Object.fromEntries(known), help: { type: "boolean", short: "h" } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

function unknownFlag(name: string, flags: Record<string, AnyFlag>): ExitError {
  const near = nearest(name, [...Object.keys(flags).map(flagName), "--help"]);
  return new ExitError("usage", `Unknown flag ${name}: ${near ? `did you mean ${near}?` : "--help lists the flags"}`);
}
