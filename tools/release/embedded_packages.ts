/**
 * @file What of the npm packages goes into the one binary: a copy of Deno's cache that holds the packages which the program
 * imports, and of these only what runs.
 *
 * `deno compile` embeds packages whole, all that the lock file names. `--exclude-unused-npm` drops those that nothing
 * imports, but declarations, source maps and builds for other platforms are four fifths of the rest, and `--exclude` takes no
 * patterns. From a pruned cache it embeds what is there; and a program that runs on that cache finds the same in the binary.
 */
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

/** Files that no package needs to run, by the end of the name; licences stay. */
const NEVER_RUN = /\.(map|[cm]?ts|tsx|md|markdown|flow)$/;

/** Packages of which only bundles are kept: what they depend on is in these, or not needed. */
const BUNDLED = ["onnxruntime-web"];

/** What is kept of packages that come in builds for several platforms, by name: paths within the package. */
const KEPT: Readonly<Record<string, RegExp>> = {
  // Four copies of a dictionary of 4 MB; "node" comes first in its exports.
  "jieba-wasm": /^(package\.json|LICENSE|pkg\/nodejs\/)/,
  // 140 MB of bundles; the CPU engine and encoders use the plain WebAssembly build, encoders on a GPU the one for it.
  "onnxruntime-web":
    /^(package\.json|LICENSE|dist\/ort-wasm-simd-threaded\.(mjs|wasm|jspi\.wasm)$|dist\/ort\.(wasm|jspi)\.bundle\.min\.mjs$)/,
  // Names of what is not settled yet are an entry of their own, which nothing imports.
  "@opentelemetry/semantic-conventions": /^(?!dist\/(experimental|index-incubating))/,
  "esbuild-wasm": /^(package\.json|LICENSE\.md|esbuild\.wasm|esm\/browser\.js)$/,
  // The tools that it also is, for the command line.
  "wabt": /^(package\.json|LICENSE|index\.js)$/,
};

/**
 * Packages whose WebAssembly is packed, to a quarter: Deno embeds files as they are. Only for what src/formats/wasm_file.ts
 * reads; it finds `NAME.wasm.gz` beside an empty file, which is there for Deno to resolve.
 */
const PACKED = ["esbuild-wasm", "onnxruntime-web"];

/** What `deno info --json` says of a program. */
interface ModuleGraph {
  readonly modules: readonly { readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, NpmPackage>>;
}

interface NpmPackage {
  readonly name: string;
  /** Ids of other packages. */
  readonly dependencies: readonly string[];
  /** Its folder in Deno's cache. */
  readonly localPath: string;
}

/**
 * Makes a folder that can stand for `DENO_DIR` while the program is compiled.
 *
 * @param root the folder of deno.json
 * @param programs the main module and every worker's, relative to it
 * @param directory an empty folder to fill
 */
export async function pruneCache(root: string, programs: readonly string[], directory: string): Promise<void> {
  const { denoDir } = await denoInfo<{ denoDir: string }>(root);
  const { imported, others } = await packagesOf(root, programs);
  const copy = async ({ name, localPath }: NpmPackage, keeps: (file: string) => boolean) => {
    const target = join(directory, relative(denoDir, localPath));
    for (const file of (await filesOf(localPath)).filter(keeps)) {
      await Deno.mkdir(dirname(join(target, file)), { recursive: true });
      if (PACKED.includes(name) && file.endsWith(".wasm")) await packFile(join(localPath, file), join(target, file));
      else await Deno.copyFile(join(localPath, file), join(target, file));
    }
    // The registry's answer: what the lock file leaves open, Deno would ask for again. Where it never asked, there is none.
    await Deno.copyFile(join(dirname(localPath), "registry.json"), join(dirname(target), "registry.json"))
      .catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
  };
  for (const one of imported) await copy(one, (file) => !NEVER_RUN.test(file) && (KEPT[one.name]?.test(file) ?? true));
  // Deno wants to see all packages of deno.json before it leaves out those that nothing imports.
  for (const one of others) await copy(one, (file) => file === "package.json");
  // Runtimes that were downloaded once are not downloaded again. On Windows, only a junction needs no privileges.
  await Deno.mkdir(join(denoDir, "dl"), { recursive: true });
  await Deno.symlink(join(denoDir, "dl"), join(directory, "dl"), { type: "junction" });
}

/** The packages that programs import, with those that these need, and the others of deno.json. */
async function packagesOf(
  root: string,
  programs: readonly string[],
): Promise<{ imported: readonly NpmPackage[]; others: readonly NpmPackage[] }> {
  const ids = new Set<string>();
  let known: ModuleGraph["npmPackages"] = {};
  for (const program of programs) {
    const { modules, npmPackages } = await denoInfo<ModuleGraph>(root, program);
    const visit = (id: string) => {
      if (ids.has(id)) return;
      ids.add(id);
      if (!BUNDLED.includes(npmPackages[id].name)) npmPackages[id].dependencies.forEach(visit);
    };
    for (const { npmPackage } of modules) if (npmPackage !== undefined) visit(npmPackage);
    known = npmPackages;
  }
  const part = (isImported: boolean) =>
    Object.entries(known).filter(([id]) => ids.has(id) === isImported).map(([, one]) => one);
  return { imported: part(true), others: part(false) };
}

async function denoInfo<Answer>(root: string, ...args: string[]): Promise<Answer> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", ...args],
    cwd: root,
  }).output();
  if (!success) throw new Error(`deno info failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function packFile(from: string, to: string): Promise<void> {
  await Deno.writeFile(to, new Uint8Array());
  await Deno.writeFile(`${to}.gz`, gzipSync(await Deno.readFile(from), { level: 9 }));
}

/** Paths of all files below a folder, relative to it, with slashes. */
async function filesOf(folder: string, prefix = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(folder, prefix))) {
    if (isDirectory) files.push(...await filesOf(folder, `${prefix}${name}/`));
    else files.push(prefix + name);
  }
  return files;
}
