/** @file From the program's arguments to its exit code. */
import { SizeError } from "../contract/errors.ts";
import { OutputFileError } from "../conversion/write_model.ts";
import { ModelFileError } from "../formats/model_file.ts";
import { systemReason } from "../formats/system_reason.ts";
import { NoAdapterError } from "../gpu/gpu.ts";
import { HubError, SourceError } from "../hub/hub_error.ts";
import { workersEnded } from "../gpu/worker_end.ts";
import { PluginError } from "../policy/loading/plugin_bundle.ts";
import { COMMANDS } from "./commands.ts";
import { configText } from "./config_file.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import { commandHelp, programHelp } from "./help.ts";
import { nearest } from "../text/nearest.ts";
import { asksForHelp, parseOptions } from "./parse_options.ts";
import project from "../../deno.json" with { type: "json" };

/** Runs a command and says, in a sentence on standard error, why it failed if it did. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    tell(error);
    return exitCodeOf(error);
  } finally {
    await workersEnded();
  }
}

/** Says why. Where nobody listens any more, as behind `| head`, nothing is to be said. */
function tell(error: unknown): void {
  if (error instanceof Deno.errors.BrokenPipe) return;
  try {
    console.error(error instanceof Error ? sentenceOf(error) : String(error));
  } catch (unheard) {
    if (!(unheard instanceof Deno.errors.BrokenPipe)) throw unheard;
  }
}

/** What the system's own errors say ends with the file; those of standard output name none. */
function sentenceOf(error: Error): string {
  const path = / \(os error \d+\): \w+ '(.*)'$/.exec(error.message)?.[1];
  if (path !== undefined) return `${path}: ${systemReason(error)}`;
  const isOfOutput = /^(No space left on device|Input\/output error) \(os error \d+\)$/.test(error.message);
  return isOfOutput ? `Standard output cannot be written: ${systemReason(error)}` : error.message;
}

async function dispatch(given: readonly string[]): Promise<number> {
  if (given[0] === "help") return dispatch([...given.slice(1), "--help"]);
  const [name, args] = commandOf(given);
  switch (name) {
    case "--help":
    case "-h":
      console.log(programHelp());
      return EXIT_CODES.ok.code;
    case "--version":
      console.log(`ebb ${project.version}`);
      return EXIT_CODES.ok.code;
    case undefined:
      throw new ExitError("usage", `A command is missing: ${Object.keys(COMMANDS).join(", ")}; see --help`);
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    const near = nearest(name, Object.keys(COMMANDS));
    const group = Object.keys(COMMANDS).filter((command) => command.startsWith(`${name.split(" ")[0]} `));
    const expected = group.length > 0 ? group : Object.keys(COMMANDS);
    const advice = near ? `did you mean ${near}?` : `expected ${expected.join(", ")}; see --help`;
    throw new ExitError("usage", `Unknown command ${JSON.stringify(name)}: ${advice}`);
  }
  const { flags, positionals, load } = COMMANDS[name];
  if (asksForHelp(args, flags)) {
    console.log(commandHelp(name));
    return EXIT_CODES.ok.code;
  }
  const options = parseOptions(args, flags, Deno.env.toObject(), positionals);
  if ("printConfig" in options && options.printConfig) {
    console.log(configText(options, flags));
    return EXIT_CODES.ok.code;
  }
  return (await load())(options);
}

/** The command's name, of two words where such commands begin with the first, and what follows it. */
function commandOf(given: readonly string[]): [name: string | undefined, args: readonly string[]] {
  const [first, second] = given;
  const isGroup = Object.keys(COMMANDS).some((name) => name.startsWith(`${first} `));
  if (!isGroup) return [first, given.slice(1)];
  // The program's help is that of its groups.
  if (second === "--help" || second === "-h") return [second, []];
  return [given.slice(0, 2).join(" "), given.slice(2)];
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Deno.errors.BrokenPipe) return EXIT_CODES.unheard.code;
  if (error instanceof OutputFileError) return (error.isTaken ? EXIT_CODES.usage : EXIT_CODES.failure).code;
  if (error instanceof ExitError) return EXIT_CODES[error.reason].code;
  if (error instanceof SizeError) return EXIT_CODES.usage.code;
  if (error instanceof NoAdapterError) return EXIT_CODES.noAdapter.code;
  if (error instanceof ModelFileError) return EXIT_CODES.modelUnusable.code;
  if (error instanceof SourceError) return EXIT_CODES.usage.code;
  if (error instanceof HubError && error.isMissing) return EXIT_CODES.modelUnusable.code;
  if (error instanceof PluginError) return EXIT_CODES.pluginUnusable.code;
  return EXIT_CODES.failure.code;
}
