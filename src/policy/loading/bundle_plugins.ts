/**
 * @file From files of users to bundles: TypeScript or JavaScript, with the neighbours that it imports, becomes one text.
 *
 *     mine.ts --imports--> ./neighbour.ts         esbuild, in WebAssembly
 *        \--imports--> "ebb/policy"               stays: whoever evaluates the bundle hands it in
 *
 * Nothing else may be imported: what is left in a bundle is asked of "ebb/policy" alone, so that it can be evaluated in any
 * thread, one without permissions too. Types are not checked, as an editor does that.
 */
import { createRequire } from "node:module";
import { dirname, extname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readWasm } from "../../formats/wasm_file.ts";
import { type PluginBundle, PluginError } from "./plugin_bundle.ts";
import { SourcePositions } from "./source_positions.ts";

/** What esbuild reports, as far as it is used. */
interface Message {
  readonly text: string;
  readonly location: { readonly file: string; readonly line: number; readonly column: number } | null;
}

type Esbuild = typeof import("esbuild-wasm");

/** All of the bundling of a start takes no longer than this, in milliseconds: its scheduler can hang, and a start should not. */
const BUNDLING_MILLISECONDS = 60_000;

const EXTENSIONS = [".ts", ".mts", ".js", ".mjs"];
const NAMESPACE = "plugin";

/**
 * Bundles files, and those of directories. In a directory, files that begin with a dot or an underscore are left out, and tests
 * and declarations.
 *
 * @param isSandboxed whether they are to be evaluated in sandboxes
 * @throws {PluginError} naming file, line and column of what cannot be bundled
 */
export async function bundlePlugins(paths: readonly string[], isSandboxed = false): Promise<PluginBundle[]> {
  const files = (await Promise.all(paths.map(filesOf))).flat();
  if (files.length === 0) return [];
  const esbuild = await startedEsbuild();
  return await Promise.all(files.map((file) => bundle(esbuild, file, isSandboxed)));
}

/** Gives back the memory of the bundler, once no more files are expected to come. */
export async function stopBundling(): Promise<void> {
  const running = esbuild;
  esbuild = null;
  await (await running?.catch(() => null))?.stop();
}

let esbuild: Promise<Esbuild> | null = null;

/** Loads the bundler when it is first needed: a start without plugins does not. */
function startedEsbuild(): Promise<Esbuild> {
  return esbuild ??= withinTime(
    (async () => {
      const esbuild: Esbuild = await import("esbuild-wasm/esm/browser.js");
      const path = createRequire(import.meta.url).resolve("esbuild-wasm/esbuild.wasm");
      const wasmModule = await WebAssembly.compile(await readWasm(pathToFileURL(path)));
      // Its own worker can hang for ever.
      await esbuild.initialize({ wasmModule, worker: false });
      return esbuild;
    })(),
    "the bundler did not start",
  );
}

async function filesOf(path: string): Promise<string[]> {
  const found = await Deno.stat(path).catch(() => undefined);
  if (found === undefined) {
    throw new PluginError(`The policy plugin ${path} does not exist: expected a file or a directory`);
  }
  if (!found.isDirectory) {
    if (EXTENSIONS.includes(extname(path))) return [path];
    throw new PluginError(
      `The policy plugin ${path} must be TypeScript or JavaScript: expected ${EXTENSIONS.join(", ")}`,
    );
  }
  const names = (await Array.fromAsync(Deno.readDir(path))).filter(({ isFile }) => isFile).map(({ name }) => name);
  const plugins = names.filter((name) =>
    EXTENSIONS.includes(extname(name)) && !/^[._]|\.d\.ts$|_test\.|\.test\./.test(name)
  );
  if (plugins.length > 0) return plugins.sort().map((name) => join(path, name));
  throw new PluginError(
    `The directory ${path} holds no policy plugin: expected files that end with ${EXTENSIONS.join(", ")}`,
  );
}

async function bundle(esbuild: Esbuild, file: string, isSandboxed: boolean): Promise<PluginBundle> {
  const entry = resolve(file);
  const sources = new Map<string, string>();
  const nameOf = (path: string) => resolve(path) === entry ? file : relative(dirname(entry), path);
  const built = esbuild.build({
    entryPoints: [entry],
    outfile: "plugin.js",
    bundle: true,
    write: false,
    format: "cjs",
    target: "es2022",
    // A call of import() becomes one of require(), which can be answered.
    supported: { "dynamic-import": false },
    sourcemap: "external",
    logLevel: "silent",
    // An empty one where the user has a tsconfig.json, which a plugin's meaning must not hang on.
    tsconfigRaw: "{}",
    plugins: [{
      name: "neighbours",
      setup(build) {
        build.onResolve({ filter: /.*/ }, async ({ path, importer, kind }) => {
          if (kind === "entry-point") return { path, namespace: NAMESPACE };
          if (path === "ebb/policy" && kind === "import-statement") return { path, external: true };
          if (!/^\.{1,2}\//.test(path) || kind !== "import-statement") {
            return { errors: [{ text: refusal(path, kind) }] };
          }
          const neighbour = join(dirname(importer), path);
          const isFile = await Deno.stat(neighbour).then((found) => found.isFile, () => false);
          if (!isFile) {
            return { errors: [{ text: `There is no file ${path} beside it: expected its name, ending included` }] };
          }
          return { path: neighbour, namespace: NAMESPACE };
        });
        build.onLoad({ filter: /.*/, namespace: NAMESPACE }, async ({ path }) => {
          const contents = await Deno.readTextFile(path);
          sources.set(path, contents);
          return { contents, loader: path.endsWith(".json") ? "json" : /ts$/.test(extname(path)) ? "ts" : "js" };
        });
      },
    }],
  });
  try {
    const { outputFiles, warnings } = await withinTime(built, `bundling ${file} did not end`);
    if (warnings.length > 0) throw failure(warnings[0], file, nameOf);
    const textOf = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))!.text;
    const result = { file, code: textOf(".js"), map: textOf(".map"), isSandboxed };
    refuseCalls(result);
    const { withBoundedLoops } = await import("./bounded_loops.ts");
    return { ...result, code: withBoundedLoops(result.code) };
  } catch (error) {
    const [message] = (error as { errors?: readonly Message[] }).errors ?? [];
    // A name that is only known in part: esbuild would look for all files that it may stand for.
    if (message?.location === null) throw madeUpImport(sources, nameOf) ?? failure(message, file, nameOf);
    throw message === undefined ? error : failure(message, file, nameOf);
  }
}

function refusal(path: string, kind: string): string {
  const how = kind === "dynamic-import"
    ? `import("${path}")`
    : kind === "require-call"
    ? `require("${path}")`
    : `"${path}"`;
  return `A plugin cannot import ${how}: expected "ebb/policy" or a file beside it, such as "./other.ts", at the top`;
}

/** What is asked for by a name that is only known when it runs. */
function refuseCalls(bundle: PluginBundle): void {
  const at = bundle.code.search(/__toESM\(require\((?!")/);
  if (at < 0) return;
  const before = bundle.code.slice(0, at).split("\n");
  const place = new SourcePositions(bundle, "").of(before.length, before.at(-1)!.length + 1);
  throw new PluginError(`${place ?? bundle.file}: ${refusal("...", "dynamic-import")}`);
}

/** The first import() of what is no text. */
function madeUpImport(sources: ReadonlyMap<string, string>, nameOf: (path: string) => string): PluginError | undefined {
  for (const [path, text] of sources) {
    const at = text.search(/\bimport\s*\(/);
    if (at < 0) continue;
    const before = text.slice(0, at).split("\n");
    const place = `${nameOf(path)}:${before.length}:${before.at(-1)!.length + 1}`;
    return new PluginError(`${place}: ${refusal("...", "dynamic-import")}`);
  }
}

function failure({ text, location }: Message, file: string, nameOf: (path: string) => string): PluginError {
  if (location === null) return new PluginError(`${file}: ${text}`);
  const path = location.file.replace(new RegExp(`^${NAMESPACE}:`), "");
  return new PluginError(`${nameOf(path)}:${location.line}:${location.column + 1}: ${text}`);
}

async function withinTime<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(new PluginError(`Policy plugins cannot be loaded: ${what} within ${BUNDLING_MILLISECONDS / 1000} s`)),
      BUNDLING_MILLISECONDS,
    );
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
