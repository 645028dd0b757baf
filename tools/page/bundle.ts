/**
 * @file The playground's sources as one script and one style sheet, which the server sends within its page.
 *
 *     src/page/main.tsx --imports--> its neighbours, src/eval/tasks, hono/jsx/dom, eventsource-parser     esbuild, in WebAssembly
 *     src/page/page.css
 *
 * Ahead of time rather than at the first request: bundling would hold up the server for about a second, and a compiled program
 * would need the sources and their packages beside the bundle.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { readWasm } from "../../src/formats/wasm_file.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface PageBundle {
  readonly script: string;
  readonly style: string;
}

/** Makes the bundle. The same sources and packages give the same one. */
export async function bundlePage(): Promise<PageBundle> {
  const esbuild: typeof import("esbuild-wasm") = await import("esbuild-wasm/esm/browser.js");
  const require = createRequire(import.meta.url);
  const wasmModule = await WebAssembly.compile(
    await readWasm(pathToFileURL(require.resolve("esbuild-wasm/esbuild.wasm"))),
  );
  // Its own worker can hang for ever.
  await esbuild.initialize({ wasmModule, worker: false });
  try {
    const options = {
      bundle: true,
      write: false,
      minify: true,
      outfile: "page",
      logLevel: "silent",
      tsconfigRaw: "{}",
      target: ["chrome120", "firefox125", "safari17.4"],
      jsx: "automatic",
      jsxImportSource: "hono/jsx/dom",
      legalComments: "none",
      charset: "utf8",
      plugins: [{
        name: "files",
        setup(build) {
          build.onResolve({ filter: /.*/ }, ({ path, importer }) => ({
            path: path.startsWith(".") ? join(dirname(importer), path) : path.startsWith("/")
              ? path
              // The same package's modules for import, where require() is led to those of its own.
              : require.resolve(path).replace("/dist/cjs/", "/dist/").replace(/\.cjs$/, ".js"),
            namespace: "files",
          }));
          build.onLoad({ filter: /.*/, namespace: "files" }, async ({ path }) => ({
            contents: await Deno.readTextFile(path),
            loader: LOADERS[path.slice(path.lastIndexOf(".") + 1)] ?? "js",
          }));
        },
      }],
    } as const satisfies import("esbuild-wasm").BuildOptions & { readonly plugins: readonly unknown[] };
    const textOf = async (entry: string) => {
      const built = await esbuild.build({
        ...options,
        target: [...options.target],
        plugins: [...options.plugins],
        entryPoints: [join(ROOT, entry)],
      });
      return built.outputFiles![0].text.trim();
    };
    return { script: await textOf("src/page/main.tsx"), style: await textOf("src/page/page.css") };
  } finally {
    await esbuild.stop();
  }
}

const LOADERS: Readonly<Record<string, "ts" | "tsx" | "css" | "json">> = {
  ts: "ts",
  tsx: "tsx",
  css: "css",
  json: "json",
};

/** The module that the server imports: strings need neither files nor permissions, in a compiled program too. */
export function bundleModule({ script, style }: PageBundle): string {
  return `/** @file Made by \`deno task page\` out of src/page/: the playground's script and style sheet. */
// deno-lint-ignore-file

// deno-fmt-ignore
export const SCRIPT = ${JSON.stringify(script)};

// deno-fmt-ignore
export const STYLE = ${JSON.stringify(style)};
`;
}
