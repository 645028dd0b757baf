import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { startPolicy } from "../../../src/policy/fence.ts";
import { bundlePlugins } from "../../../src/policy/loading/bundle_plugins.ts";
import { parseKvCacheChoice } from "../../../src/policy/choice.ts";
import { loadPolicies, registryOf } from "../../../src/serving/policies.ts";
import { bundled, pluginTest, refusalOf, withPlugins } from "../../support/plugins.ts";

const SHORT_KEYS = `
import { definePolicy, keyNorm, z } from "ebb/policy";

export default definePolicy({
  api: 1,
  name: "short-keys",
  description: "Keeps rows with short keys",
  options: z.strictObject({ window: z.int().min(1).max(64).default(8) }),
  score: (_context, { window }: { window: number }) => [keyNorm({ window })],
});
`;

const context = {
  layerCount: 3,
  kvHeadCount: 2,
  headSize: 8,
  blockSize: 16,
  promptLength: 100,
  budget: 20,
  messages: [],
};

pluginTest(
  "a plugin is a policy like any other: it has options, checks them, and combines with the halves of others",
  async () => {
    const registry = registryOf(await bundled(SHORT_KEYS));
    const defaults = { policy: "full", budget: 20 };
    assert.deepEqual(parseKvCacheChoice({ policy: "short-keys", options: { window: 4 } }, defaults, registry), {
      policy: "short-keys",
      budget: 20,
      options: { window: 4 },
    });
    assert.throws(
      () => parseKvCacheChoice({ policy: "short-keys", options: { window: 0 } }, defaults, registry),
      /Invalid kv_cache.options.window 0: .*>=1/,
    );
    const started = registry.find("short-keys")!.start(context, {})!;
    assert.deepEqual(started.score, [{ name: "keyNorm", window: 8 }]);
    assert.deepEqual(basename(registry.originOf(registry.find("short-keys")!)!), "mine.ts");
    assert.equal(registry.originOf(registry.find("snapkv")!), null);
  },
);

pluginTest(
  "a plugin may import its neighbours, and define several scorers, allocators and policies, by name or at hand",
  async () => {
    const registry = registryOf(
      await bundled(
        `import { defineAllocator, definePolicy, defineScorer, keyNorm } from "ebb/policy";
     import { WINDOW } from "./parts/window.ts";
     import table from "./table.json";
     const scorer = defineScorer({ name: "mine", description: "Short keys", score: () => [keyNorm({ window: WINDOW })] });
     export default [
       definePolicy({ name: "mine", description: "Mine", scorer, allocator: "dynamickv" }),
       definePolicy({ name: "mine-too", description: "Mine too", scorer, allocator: "halves" }),
       definePolicy({ name: "named", description: "Others'", scorer: "snapkv", defaults: { window: 4 } }),
       defineAllocator({
         name: "halves",
         description: "Half to the first layer",
         schedule: ({ base, layerCount }) => ({ provisionalRows: base, interval: layerCount }),
         allot: (layers) => layers.map(({ heldRows }, i) => Math.floor(heldRows * table[i])),
       }),
     ];`,
        { "parts/window.ts": `export const WINDOW: number = 4;`, "table.json": "[1, 0.5, 0.5]" },
      ),
    );
    assert.equal(registry.find("mine")!.allocator, registry.find("dynamickv")!.allocator);
    const halves = registry.find("mine-too")!.start(context, {})!;
    const layer = { histogram: new Uint32Array(864), heldRows: 16 };
    assert.deepEqual([...halves.allot([layer, layer, layer]) as number[]], [16, 8, 8]);
    assert.equal(registry.find("named")!.options.parse({}).window, 4);
    assert.ok(registry.find("mine+halves") && registry.find("mine+adakv") && registry.find("snapkv+halves"));
  },
);

pluginTest("a directory of plugins is read file by file, without tests, declarations and hidden files", async () => {
  const plugin = (name: string) => SHORT_KEYS.replace("short-keys", name);
  const files = {
    "b.ts": plugin("b"),
    "a.js": plugin("a").replaceAll(": { window: number }", ""),
    "_part.ts": "export const x = 1;",
    "a_test.ts": "throw new Error()",
    "types.d.ts": "declare const x: number;",
    "notes.md": "# Notes",
  };
  await withPlugins(files, async (directory) => {
    const { files } = await loadPolicies([directory]);
    assert.deepEqual(files.map(({ bundle: { file } }) => file), [join(directory, "a.js"), join(directory, "b.ts")]);
    await assert.rejects(
      loadPolicies([join(directory, "c.ts")]),
      /c\.ts does not exist: expected a file or a directory/,
    );
    await assert.rejects(loadPolicies([join(directory, "notes.md")]), /notes\.md must be TypeScript or JavaScript/);
  });
  await withPlugins({ "notes.md": "" }, async (directory) => {
    await assert.rejects(loadPolicies([directory]), /holds no policy plugin/);
  });
});

const define = (definition: string, imports = "definePolicy, z, keyNorm") =>
  `import { ${imports} } from "ebb/policy";\nexport default definePolicy({\n${definition}\n});\n`;
const named = (rest: string) => define(`name: "x", description: "X",\n${rest}`);

for (
  const [what, text, refusal] of [
    ["does not parse", `export default {\n  name: ,\n};`, /^mine\.ts:2:9: Unexpected ","$/],
    [
      "imports a package",
      `import x from "npm:lodash";\nexport default x;`,
      /^mine\.ts:1:15: .*import "npm:lodash": expected "ebb/,
    ],
    ["imports node's modules", `import fs from "node:fs";\nexport default fs;`, /^mine\.ts:1:16: .*import "node:fs"/],
    ["imports by a URL", `\nimport x from "https://x.y/z.ts";\nexport default x;`, /^mine\.ts:2:15: .*import "https:/],
    [
      "imports what is not there",
      `import x from "./y";\nexport default x;`,
      /^mine\.ts:1:15: There is no file \.\/y beside it/,
    ],
    ["imports while it runs", `export default 1;\nimport("./y.ts");`, /^mine\.ts:2:8: .*import import\("\.\/y\.ts"\)/],
    [
      "imports what it makes up",
      `export default 1;\nexport const f = (x: string) => import("./" + x);`,
      /^mine\.ts:2:\d+: .*cannot import import\("\.\.\."\)/,
    ],
    ["requires", `export default require("fs");`, /^mine\.ts:1:24: .*import require\("fs"\)/],
    ["asks where it is", `export default import.meta.url;`, /^mine\.ts:1:16: "import\.meta" is not available/],
    ["waits at the top", `export default await 1;`, /^mine\.ts:1:16: Top-level await is .*not supported/],
    [
      "imports a name that does not exist",
      named(`score: () => [keyNorms()]`).replace("keyNorm }", "keyNorms }") + "keyNorms();",
      /^mine\.ts:\d+:\d+: "ebb\/policy" exports no "keyNorms"$/,
    ],
    [
      "throws",
      `const x: any = undefined;\nexport default x.y;`,
      /^mine\.ts:2:18: Cannot read properties of undefined \(reading 'y'\)$/,
    ],
    ["exports nothing", `export const x = 1;`, /^mine\.ts must export as its default .* but exports no default$/],
    [
      "exports something else",
      `export default { name: "x" };`,
      /^mine\.ts must export as its default .*something else$/,
    ],
    ["exports an empty list", `export default [];`, /^mine\.ts must export .* but an empty array is none$/],
    [
      "has another version",
      named(`api: 7, score: () => null`),
      /^mine\.ts:2:16: api of the policy "x" must be a version of ebb\/policy that this Ebb knows \(1\), but is 7$/,
    ],
    ["has no name", define(`score: () => null`), /^mine\.ts:2:16: The name of a policy must be letters/],
    [
      "has a plus in its name",
      define(`name: "a+b", score: () => null`),
      /The name of a policy must be .* but is "a\+b"$/,
    ],
    [
      "has a field too many",
      named(`score: () => null, alot: 1`),
      /The policy "x" has no field "alot": known are api, name,/,
    ],
    [
      "has no score",
      named(`score: [keyNorm({ window: 8 })]`),
      /score of the policy "x" must be a function, but is an array/,
    ],
    [
      "has options that are no schema",
      named(`score: () => null, options: { window: 8 }`),
      /options of the policy "x" must be an object schema of the z/,
    ],
    [
      "names no allocator",
      named(`score: () => null, allocator: "dynamic"`),
      /^mine\.ts: The policy "x" names the allocator "dynamic": expected one of uniform, dynamickv/,
    ],
    [
      "gives a half that is none",
      named(`score: () => null, allocator: {}`),
      /allocator of the policy "x" must be what defineAllocator returns/,
    ],
    [
      "sets a default that nobody has",
      named(`score: () => null, defaults: { windows: 8 }`),
      /no option "windows" to set a default for: x and uniform have none/,
    ],
    [
      "has the name of another",
      define(`name: "snapkv", description: "X", score: () => null`),
      /^mine\.ts: There is already a policy named "snapkv"/,
    ],
  ] as [string, string, RegExp][]
) {
  pluginTest(`a plugin that ${what} is refused, and told where`, async () => {
    assert.match(await refusalOf(text), refusal);
  });
}

pluginTest("an error in a neighbour is told by its own name", async () => {
  assert.match(
    await refusalOf(`import { x } from "./y.ts";\nexport default x;`, { "y.ts": `\nexport const x = null!.z;` }),
    /^y\.ts:2:\d+: Cannot read properties of null/,
  );
  assert.match(await refusalOf(`import "./y.ts";`, { "y.ts": `\n  const = 1;` }), /^y\.ts:2:9: Expected identifier/);
});

pluginTest("what a plugin throws in the middle of a request names the place in its file", async () => {
  const registry = registryOf(
    await bundled(define(
      `name: "late", description: "Throws for long prompts",
     score(context) {
       const rows: number[] = [];
       if (context.promptLength > 50) rows[0].toFixed(context.promptLength);
       return [keyNorm({ window: 8 })];
     },`,
    )),
  );
  const reasons: string[] = [];
  startPolicy(registry.find("late")!, context, {}, (reason) => reasons.push(reason));
  assert.equal(reasons.length, 1);
  assert.match(reasons[0], /^Cannot read properties of undefined \(reading 'toFixed'\) \(.*mine\.ts:6:47\)$/);
});

pluginTest("a plugin that computes for too long is asked no more", async () => {
  const registry = registryOf(
    await bundled(
      `import { defineAllocator, definePolicy, keyNorm } from "ebb/policy";
     export default definePolicy({
       name: "slow", description: "Slow",
       score: () => [keyNorm({ window: 8 })],
       allocator: defineAllocator({
         name: "slow", description: "Slow",
         schedule: ({ base }) => ({ provisionalRows: base, interval: 1 }),
         allot(layers) {
           for (;;);
           return layers.map(({ heldRows }) => heldRows);
         },
       }),
     });`,
    ),
  );
  const reasons: string[] = [];
  const policy = startPolicy(registry.find("slow")!, context, {}, (reason) => reasons.push(reason))!;
  assert.deepEqual([...policy.allot([{ histogram: new Uint32Array(864), heldRows: 12 }])], [12]);
  assert.match(reasons.join(), /^allot\(\) computed for longer than 1000 ms \(.*mine\.ts:\d+:\d+\)$/);
});

pluginTest("the same bundle makes the same plugins in any thread, and z is the very same", async () => {
  const [bundle] = await bundled(
    `import { definePolicy, z } from "ebb/policy";
     export default definePolicy({ name: "zod", description: String(z.ZodObject), score: () => null });`,
  );
  const { z } = await import("zod");
  assert.equal(registryOf(structuredClone([bundle])).find("zod")!.description, String(z.ZodObject));
});

pluginTest("without plugins no bundler is loaded", async () => {
  const wasm = createRequire(new URL("../../../src/policy/loading/bundle_plugins.ts", import.meta.url))
    .resolve("esbuild-wasm/esbuild.wasm");
  await withPlugins({ "mine.ts": SHORT_KEYS }, async (directory) => {
    const load = async (...plugins: string[]) => {
      const module = new URL("../../../src/serving/policies.ts", import.meta.url).href;
      const path = join(directory, "load.ts");
      const script = `import { loadPolicies } from ${JSON.stringify(module)};\n` +
        `console.log((await loadPolicies(${JSON.stringify(plugins)})).files.length);`;
      await Deno.writeTextFile(path, script);
      const config = new URL("../../../deno.json", import.meta.url).pathname;
      const args = ["run", "--no-check", `--config=${config}`, "--allow-all", `--deny-read=${wasm}`, path];
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assert.equal(await load(), "0\n");
    assert.match(await load(join(directory, "mine.ts")), /NotCapable.*esbuild\.wasm/);
  });
  assert.deepEqual(await bundlePlugins([]), []);
});
