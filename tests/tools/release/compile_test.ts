import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { withDirectory } from "../../support/files.ts";
import { compile, withPrunedCache, workerModules } from "../../../tools/release/compile.ts";
import project from "../../../deno.json" with { type: "json" };

const ROOT = new URL("../../../", import.meta.url);

/** What the program needs beside itself, and what only its tests do. */
const NEEDED = [
  "hono",
  "zod",
  "@huggingface/tokenizers",
  "@huggingface/jinja",
  "@opentelemetry/sdk-metrics",
  "@mlc-ai/web-xgrammar",
];
const OF_TESTS = await unusedPackages();

/** The packages of deno.json that no file of the program names but for what browsers get, and one that such a package brings. */
async function unusedPackages(): Promise<string[]> {
  const paths = await Array.fromAsync(glob("src/**/*.ts", { cwd: fileURLToPath(ROOT) }));
  const own = paths.filter((path) => !path.startsWith("src/page/"));
  const sources = await Promise.all(own.map((path) => Deno.readTextFile(new URL(path, ROOT))));
  const isNamed = (name: string) => sources.some((source) => new RegExp(`["'](npm:)?${name}["'/@]`).test(source));
  const npm = Object.entries(project.imports).filter(([, target]) => target.startsWith("npm:")).map(([name]) => name);
  return [...npm.filter((name) => !isNamed(name)), "@huggingface/tasks"];
}

/** Bytes that the executable may have more than the runtime. */
const MOST_ADDED = 45e6;

/** The paths of the tree that `deno compile` prints; a folder that it shows as one line ends in `/*`. */
function pathsOf(report: string): string[] {
  const parents: string[] = [];
  return report.split("\n").flatMap((line) => {
    const match = /^((?:│ | {2})*)[├└]─[─┬] (\S+)/.exec(line);
    if (match === null) return [];
    const depth = match[1].length / 2;
    parents.splice(depth, Infinity, match[2]);
    return [parents.join("/")];
  });
}

/** Runs in the place of the program, with nothing but the embedded packages: loads every command, and the WebAssembly. */
const LOADS_EVERYTHING = `
  import { COMMANDS } from "./src/cli/commands.ts";
  import { Onnxruntime } from "./src/cpu/runtime/onnxruntime.ts";
  import { bundlePlugins, stopBundling } from "./src/policy/loading/bundle_plugins.ts";
  import { EncoderClient } from "./src/embedding/client.ts";
  import { chineseWords } from "./src/eval/metrics/chinese_words.ts";
  import { GrammarEngine } from "./src/text/grammar/matcher.ts";
  for (const { load } of Object.values(COMMANDS)) await load();
  await import("./src/cpu/kernels/crew_module.ts");
  console.log(typeof await Onnxruntime.open(1));
  console.log((await bundlePlugins([Deno.args[0]])).length);
  await stopBundling();
  for (const device of ["cpu", "gpu"]) {
    const encoder = await EncoderClient.start("tests/golden/encoder/embedder", { device });
    console.log((await encoder.embed([[2, 3]], { field: "input" }))[0].values.length);
    encoder.close();
  }
  const grammars = await GrammarEngine.create([Uint8Array.of(97), Uint8Array.of(98)]);
  const { mask } = await (await grammars.match(await grammars.compile('root ::= "b"'))).next();
  console.log(mask[0]);
  console.log(chineseWords("我来到北京清华大学").join(" "));
`;

Deno.test("deno task compile embeds the program, its workers and the model, and nothing that only tests need", async () => {
  await withDirectory({ "plugin.ts": "export default 1 as number;" }, (directory) =>
    withPrunedCache(async (cache) => {
      const [output, plugin] = [`${directory}/ebb`, `${directory}/plugin.ts`];
      // Deno's own executable stands for the runtime that releases are made of, which npm does not have: what comes out
      // cannot run, but everything up to there can be seen.
      const standIn = Deno.env.get("DENORT_BIN") ?? Deno.execPath();
      const report = await compile({ output }, cache, standIn);
      const paths = pathsOf(report);
      const packages = paths.filter((path) => path.startsWith(".deno_compile_node_modules/localhost/"))
        .map((path) => path.split("/").slice(2).join("/"));
      const embeds = (name: string) => packages.some((path) => path === name || path.startsWith(`${name}/`));

      for (const name of NEEDED) assert.ok(embeds(name), `${name} is missing of ${packages}`);
      for (const name of ["ajv", "@langchain/openai", "ai"]) assert.ok(OF_TESTS.includes(name), `${OF_TESTS}`);
      for (const name of OF_TESTS) assert.ok(!embeds(name), `${name} is embedded, which only tests need`);
      for (const path of paths) assert.doesNotMatch(path, /^(tests|fixtures|bench|tools|docs)\b/);
      for (const path of ["main.ts", "models/ebb-mini.gguf", "deno.json"]) assert.ok(paths.includes(path), report);
      // Deno shows small folders as one line, with all that is in them.
      for (const path of await workerModules()) {
        const folders = path.split("/").slice(0, -1).map((_, at, all) => `${all.slice(0, at + 1).join("/")}/*`);
        const isShown = paths.includes(path) || folders.some((folder) => paths.includes(folder));
        assert.ok(isShown, `${path} is not among\n${report}`);
      }

      const added = (await Deno.stat(output)).size - (await Deno.stat(standIn)).size;
      assert.ok(
        added > 5e6 && added < MOST_ADDED,
        `${added} bytes are added to the runtime, allowed are ${MOST_ADDED}`,
      );

      const run = await new Deno.Command(Deno.execPath(), {
        args: ["eval", "--cached-only", LOADS_EVERYTHING, plugin],
        cwd: ROOT,
        env: { DENO_DIR: cache },
      }).output();
      assert.equal(new TextDecoder().decode(run.stderr), "");
      assert.equal(new TextDecoder().decode(run.stdout), "object\n1\n16\n16\n2\n我 来到 北京 清华大学\n");
    }));
});

Deno.test("the workers are found by the one form that compiled programs can start", async () => {
  const workers = await workerModules();
  for (const path of ["src/engine/worker.ts", "src/serving/adapter_probe.ts", "src/text/text_worker.ts"]) {
    assert.ok(workers.includes(path), `${path} is not among ${workers}`);
  }
});
