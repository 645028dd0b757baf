/**
 * @file `deno task compile`: Ebb as one executable file, which needs neither Deno nor npm.
 *
 *     deno task compile                                          # for this machine, as ./ebb
 *     deno task compile --target aarch64-apple-darwin --output ebb-mac
 *
 * How each thing that is not an import gets in, and why so:
 *
 * - Workers: `new Worker(new URL("./worker.ts", import.meta.url))`, each also given to `--include`, for only then does
 *   Deno embed it. Blob and data URLs, the other form, cannot import the modules that the workers share with the program.
 * - The model: an embedded file, read through a path made from `import.meta.url`, which leads into the embedded file system;
 *   `Deno.open`, `Deno.stat` and `node:fs` look there first.
 * - WebAssembly: bytes that are read, unpacked (see src/formats/wasm_file.ts) and handed to the library. It is not imported as a
 *   module, and no library fetches it: Deno issue 32212 tells of WebAssembly that hangs while a worker of a compiled program
 *   begins, and fetching a file is another way for each runtime. jieba-wasm alone reads its own, by `node:fs`, when it is needed.
 * - npm packages: embedded pruned and unbundled. `--bundle` is smaller still, but experimental: it takes workers of one
 *   shape only, packages lose the WebAssembly that they read from beside themselves, and a user's policy could not import
 *   the program's own `ebb/policy`.
 * - Permissions: all, as `deno task start` has them. The program runs package managers, loads drivers and reads the files
 *   that it is told to: a narrower list would ask on a terminal, and fail without one.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { readArguments, runProgram } from "../../fixtures/program.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { pruneCache } from "./embedded_packages.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MAIN = "main.ts";

/** Files that are read at run time. */
const INCLUDED = ["models/ebb-mini.gguf"];

/** The platforms that Deno compiles for, by the names that `--target` takes. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
] as const;
export type Target = typeof TARGETS[number];

export interface CompileOptions {
  /** Default: this machine's. */
  readonly target?: Target;
  /** Where the executable goes; Deno adds `.exe` for Windows. */
  readonly output: string;
}

/** Runs an action with a folder for `DENO_DIR` that holds what the program needs of npm, see embedded_packages.ts. */
export async function withPrunedCache<Result>(action: (cache: string) => Promise<Result>): Promise<Result> {
  await deno(["install", "--frozen"]);
  const cache = await mkdtemp(join(tmpdir(), "ebb-compile-"));
  try {
    await pruneCache(ROOT, [MAIN, ...await workerModules()], cache);
    return await action(cache);
  } finally {
    await rm(cache, { recursive: true });
  }
}

/**
 * Compiles the program.
 *
 * @param cache from {@link withPrunedCache}
 * @param runtime an executable to put the program into, instead of the one that Deno finds or downloads
 * @returns Deno's report: a tree of what it embedded, with sizes
 * @throws {Error} when `deno compile` fails, with what it said and, without a runtime to compile into, what to do
 */
export async function compile(
  { target, output }: CompileOptions,
  cache: string,
  runtime?: string,
): Promise<string> {
  return await deno([
    ...["compile", "--no-check", "--cached-only", "--frozen", "--exclude-unused-npm", "--allow-all"],
    ...[...await workerModules(), ...INCLUDED].flatMap((path) => ["--include", path]),
    ...(target === undefined ? [] : ["--target", target]),
    ...["--output", output, MAIN],
  ], { DENO_DIR: cache, ...(runtime === undefined ? {} : { DENORT_BIN: runtime }) });
}

/**
 * The modules of all workers, as paths from the repository's root: modules that are named by a URL rather than imported, be it
 * where the worker is started or in a table of them.
 */
export async function workerModules(): Promise<string[]> {
  const found = new Set<string>();
  for (const { path, source } of await sources("src/")) {
    for (const [, worker] of source.matchAll(/new URL\("(\.[^"]+\.ts)", import\.meta\.url\)/g)) {
      found.add(new URL(worker, `file:///${path}`).pathname.slice(1));
    }
  }
  return [...found].sort();
}

async function sources(folder: string): Promise<{ path: string; source: string }[]> {
  const found = [];
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
    if (isDirectory) found.push(...await sources(`${folder}${name}/`));
    else if (name.endsWith(".ts")) {
      found.push({ path: folder + name, source: await Deno.readTextFile(join(ROOT, folder, name)) });
    }
  }
  return found;
}

/** Runs Deno in the repository and returns what it printed, without colours. */
async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, env })
    .output();
  const said = [stdout, stderr].map((bytes) => stripVTControlCharacters(new TextDecoder().decode(bytes))).join("");
  if (success) return said.trim();
  const advice = args[0] === "compile" && /denort|dl\.deno\.land/.test(said) ? `\n${RUNTIME_ADVICE}` : "";
  throw new Error(`deno ${args[0]} failed:\n${said.trim()}${advice}`);
}

const RUNTIME_ADVICE =
  `The runtime that the program is put into, denort, could not be had. It is downloaded once; without
a network, name its file in DENORT_BIN, or put Deno's release archive of it, denort-TARGET.zip, into the folder
dl/release/v${Deno.version.deno} of Deno's cache, which "deno info" names.`;

const USAGE = `Usage: deno task compile [--target ${TARGETS.join("|")}] [--output ebb]`;

async function main(args: string[]): Promise<void> {
  const { values } = readArguments({ args, options: { target: { type: "string" }, output: { type: "string" } } });
  const target = TARGETS.find((name) => name === values.target);
  if (target === undefined && values.target !== undefined) {
    throw new ExitError("usage", `--target must be ${TARGETS.join(", ")}, not ${JSON.stringify(values.target)}`);
  }
  console.log(await withPrunedCache((cache) => compile({ target, output: values.output ?? "ebb" }, cache)));
}

if (import.meta.main) await runProgram(USAGE, main);
