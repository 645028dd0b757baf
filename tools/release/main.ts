/**
 * @file Makes a release: for each platform an archive with the executable, and one list of checksums.
 *
 *     deno run -A tools/release/main.ts                                    # all platforms, into dist/
 *     deno run -A tools/release/main.ts --targets x86_64-unknown-linux-gnu --out /tmp/release
 *
 * The runtimes of other platforms are downloaded once, as for `deno task compile`. Check what you have downloaded with
 * `sha256sum --check --ignore-missing SHA256SUMS`.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments, runProgram } from "../../fixtures/program.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { compile, type Target, TARGETS, withPrunedCache } from "./compile.ts";
import project from "../../deno.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What goes into an archive beside the executable. */
const DOCUMENTS = ["LICENSE", "docs/install.md"];

/**
 * Writes `ebb-VERSION-TARGET.tar.gz` for each target, and `SHA256SUMS` for all of them.
 *
 * @param directory is made where it is missing
 * @param build writes the executable to a path; with `.exe` for Windows
 * @returns the names of the archives
 */
export async function release(
  targets: readonly Target[],
  directory: string,
  build: (target: Target, output: string) => Promise<unknown>,
): Promise<string[]> {
  await Deno.mkdir(directory, { recursive: true });
  const archives: string[] = [];
  for (const target of targets) {
    const name = `ebb-${project.version}-${target}`;
    const folder = join(directory, name);
    await Deno.mkdir(folder);
    try {
      await build(target, join(folder, target.includes("windows") ? "ebb.exe" : "ebb"));
      for (const path of DOCUMENTS) await Deno.copyFile(join(ROOT, path), join(folder, path.replace(/^.*\//, "")));
      await pack(directory, name);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    archives.push(`${name}.tar.gz`);
  }
  const sums = await Promise.all(
    archives.map(async (archive) => `${await sha256(join(directory, archive))}  ${archive}\n`),
  );
  await Deno.writeTextFile(join(directory, "SHA256SUMS"), sums.join(""));
  return archives;
}

/** Linux, macOS and Windows all come with tar, and an archive keeps the permission to execute. */
async function pack(directory: string, name: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("tar", {
    args: ["-czf", `${name}.tar.gz`, name],
    cwd: directory,
  }).output();
  if (!success) throw new Error(`tar failed: ${new TextDecoder().decode(stderr)}`);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

const USAGE = `Usage: deno run -A tools/release/main.ts [--targets ${TARGETS.join(",")}] [--out dist]`;

async function main(args: string[]): Promise<void> {
  const { values } = readArguments({ args, options: { targets: { type: "string" }, out: { type: "string" } } });
  const named = values.targets?.split(",") ?? TARGETS;
  const targets = TARGETS.filter((target) => named.includes(target));
  if (targets.length !== named.length) {
    throw new ExitError("usage", `--targets must name some of ${TARGETS.join(", ")}, not ${values.targets}`);
  }
  const archives = await withPrunedCache((cache) =>
    release(targets, values.out ?? "dist", (target, output) => compile({ target, output }, cache))
  );
  console.log(archives.join("\n"));
}

if (import.meta.main) await runProgram(USAGE, main);
