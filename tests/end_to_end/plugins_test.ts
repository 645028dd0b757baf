/** Policies of users' files through the command line and a running server, in this process and sandboxed. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EMBEDDED_MODEL } from "../../src/serving/embedded_model.ts";
import { until } from "../support/engine.ts";
import { withPlugins } from "../support/plugins.ts";
import { runMain, TestServer } from "../support/server.ts";

const ROOT = new URL("../../", import.meta.url);
const EXAMPLES = fileURLToPath(new URL("examples/policies", ROOT));
const TEXT = "The quick brown fox jumps over the lazy dog. ".repeat(20);

const builtIn = (name: string) => Deno.readTextFile(new URL(`src/plugins/${name}.ts`, ROOT));

/** A built-in policy as a user's file, under names of its own. */
async function copies(...names: string[]): Promise<Record<string, string>> {
  const texts = await Promise.all(names.map(async (name) => {
    const text = await builtIn(name);
    // What it imports of another policy comes along, as neighbours that are no plugins themselves.
    const local = text.replace(/from "\.\/(\w+)\.ts"/g, 'from "./_$1.ts"');
    return [`${name}.ts`, local.replaceAll(/name: "(\w+)"/g, 'name: "my-$1"')] as const;
  }));
  const shared = (await builtIn("snapkv")).replaceAll(/name: "(\w+)"/g, 'name: "my-shared-$1"');
  return { ...Object.fromEntries(texts), "_snapkv.ts": shared };
}

const broken = (
  score: string,
  allot = "layers.map(({ heldRows }) => heldRows)",
  schedule = "{ provisionalRows: base, interval: 1 }",
) =>
  `import { defineAllocator, definePolicy, keyNorm } from "ebb/policy";
export default definePolicy({
  name: "NAME", description: "Broken", score: () => ${score},
  allocator: defineAllocator({
    name: "NAME", description: "Broken",
    schedule: ({ base, scoredRows }) => (${schedule}),
    allot: (layers) => { return ${allot}; },
  }),
});
`;
const KEYS = "[keyNorm({ window: 8 })]";
/** What fails while requests run, by name: with what, and what is told of it. */
const BROKEN: Readonly<Record<string, readonly [text: string, reason: RegExp]>> = {
  "throws-in-start": [broken(`{ throw new Error("Not today"); }`), /^Not today \(.*throws-in-start\.ts:3:\d+\)$/],
  "throws-late": [
    broken(KEYS, `layers.length === 3 ? (null as any).rows : layers.map(({ heldRows }) => heldRows)`),
    /^Cannot read properties of null \(reading 'rows'\) \(.*throws-late\.ts:7:\d+\)$/,
  ],
  "wrong-types": [broken(`"keys"`), /score is no list of steps that begins with a source$/],
  "too-many-rows": [broken(KEYS, `layers.map(({ heldRows }) => heldRows + 1)`), /but the layer holds \d+$/],
  "no-numbers": [broken(KEYS, `layers.map(() => NaN)`), /must be a whole number of rows, but is NaN$/],
  "endless": [
    broken(KEYS, `(() => { for (;;); })()`),
    /allot\(\) (computed for longer than 1000 ms|in time)/,
  ],
};

for (const isSandboxed of [false, true]) {
  Deno.test(`a server with plugins${isSandboxed ? " in sandboxes" : ""}: good ones serve, broken ones cost their own requests alone`, async () => {
    const texts = Object.entries(BROKEN).map(([name, [text]]) => [`${name}.ts`, text.replaceAll("NAME", name)]);
    const files = { ...Object.fromEntries(texts), ...await copies("snapkv", "dynamickv", "cake") };
    await withPlugins(files, async (directory) => {
      const flags = ["--plugin", directory, "--plugin", join(EXAMPLES, "protect_system_prompt.ts")];
      const server = await TestServer.start(
        EMBEDDED_MODEL,
        ...flags,
        // Prompts that begin alike are read in other tiles, and their log-probabilities differ in the last bits.
        "--prefix-cache",
        "0",
        ...isSandboxed ? ["--sandbox-plugins"] : ["--device", "gpu"],
      );
      try {
        const complete = (policy: string) =>
          server.post("/v1/completions", {
            prompt: TEXT,
            max_tokens: 12,
            temperature: 0,
            logprobs: 0,
            kv_cache: { policy, budget: 32 },
          });
        const { policies } = await (await fetch(`${server.url}/v1/kv/policies`)).json();
        const fileOf = (name: string) => policies.find((policy: { name: string }) => policy.name === name).file;
        assert.equal(fileOf("my-cake"), join(directory, "cake.ts"));
        assert.equal(fileOf("cake"), null);

        // A copy of Ebb's own keeps the same rows and gives the same tokens, bit for bit.
        for (const name of ["snapkv", "dynamickv", "cake"]) {
          const [own, copy] = [await complete(name), await complete(`my-${name}`)];
          assert.deepEqual(copy.choices, own.choices, name);
          assert.deepEqual({ ...copy.usage.kv_cache, policy: name }, own.usage.kv_cache);
        }

        const alone = await complete("snapkv");
        const [beside, ...failed] = await Promise.all(["snapkv", ...Object.keys(BROKEN)].map(complete));
        // Rows computed beside others are computed by other loops, so that their last bits may differ.
        const [{ logprobs: besideOthers, text }] = beside.choices;
        assert.equal(text, alone.choices[0].text);
        assert.deepEqual(besideOthers.tokens, alone.choices[0].logprobs.tokens);
        besideOthers.token_logprobs.forEach((logprob: number, i: number) =>
          assert.ok(Math.abs(logprob - alone.choices[0].logprobs.token_logprobs[i]) < 1e-5, `token ${i}: ${logprob}`)
        );
        assert.equal("fallback" in beside.usage.kv_cache, false);
        Object.entries(BROKEN).forEach(([name, [, reason]], i) => {
          assert.match(failed[i].usage.kv_cache.fallback, reason);
          assert.equal(failed[i].usage.completion_tokens, 12, name);
        });
        assert.deepEqual(await server.metric("ebb_kv_policy_fallbacks_total"), Object.keys(BROKEN).map(() => 1));

        // The system prompt stays, though it takes nearly all of the budget.
        const chat = await server.post("/v1/chat/completions", {
          messages: [{ role: "system", content: "Be kind. ".repeat(6) }, { role: "user", content: TEXT }],
          max_tokens: 4,
          kv_cache: { policy: "protect-system-prompt", budget: 48 },
        });
        for (const rows of chat.usage.kv_cache.rows_per_layer) assert.ok(rows >= 20 && rows <= 48, `${rows}`);
        await server.untilIdle();
      } finally {
        await server.stop();
      }
    });
  });
}

Deno.test("--watch-plugins loads a changed file anew; a broken edit, or a broken kernel, leaves what there was and says why", async () => {
  const version = (n: number, more = "") =>
    `import { definePolicy, keyNorm, wgsl } from "ebb/policy";
     export default definePolicy({ name: "mine", description: "Version ${n}", score: () => [keyNorm({ window: 8 })] });${more}`;
  await withPlugins({ "mine.ts": version(1) }, async (directory) => {
    const path = join(directory, "mine.ts");
    const server = await TestServer.start(EMBEDDED_MODEL, "--plugin", path, "--watch-plugins", "--device", "gpu");
    let stderr = "";
    try {
      const description = async () => {
        const { policies } = await (await fetch(`${server.url}/v1/kv/policies`)).json();
        return policies.find(({ name }: { name: string }) => name === "mine").description;
      };
      assert.equal(await description(), "Version 1");
      await Deno.writeTextFile(path, version(2));
      await until(async () => await description() === "Version 2", "the second version");
      await Deno.writeTextFile(path, `${version(3)} const = 1;`);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await Deno.writeTextFile(
        path,
        version(4).replace("keyNorm({ window: 8 })", `wgsl({ window: 8, code: "f32(rov)" })`),
      );
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal(await description(), "Version 2");
      const reply = await server.post("/v1/completions", {
        prompt: TEXT,
        max_tokens: 2,
        kv_cache: { policy: "mine", budget: 32 },
      });
      assert.equal("fallback" in reply.usage.kv_cache, false);
      await Deno.writeTextFile(path, version(5));
      await until(async () => await description() === "Version 5", "the last version");
    } finally {
      ({ stderr } = await server.stop());
    }
    assert.match(stderr, /mine\.ts:\d+:\d+: Expected identifier but found "="\nThe plugins before go on/);
    assert.match(
      stderr,
      /mine\.ts:\d+:\d+: .*no definition in scope for identifier: `rov`.*\nThe plugins before go on/,
    );
  });
});

Deno.test("a plugin that cannot be used is refused at the start, with an exit code of its own and a place in its file", async () => {
  const cases: [string, RegExp][] = [
    [`export default {\n  name: ,\n};`, /mine\.ts:2:9: Unexpected ","\n$/],
    [
      `import fs from "node:fs";\nexport default fs;`,
      /mine\.ts:1:16: A plugin cannot import "node:fs": expected "ebb\/policy"/,
    ],
    [
      `import { definePolicy } from "ebb/policy";\nexport default definePolicy({ api: 2, name: "a", description: "A", score: () => null });`,
      /mine\.ts:2:16: api of the policy "a" must be a version of ebb\/policy that this Ebb knows \(1\), but is 2\n$/,
    ],
    [
      `import { definePolicy, wgsl } from "ebb/policy";\nexport default definePolicy({ name: "a", description: "A", score: () => [wgsl({ window: 8,\n  code: "f32(rov)" })] });`,
      /mine\.ts:3:14: .*no definition in scope for identifier: `rov`/,
    ],
  ];
  for (const [text, refusal] of cases) {
    await withPlugins({ "mine.ts": text }, async (directory) => {
      const { code, stderr, stdout } = await runMain(
        "serve",
        "--port",
        "0",
        "--device",
        "gpu",
        "--plugin",
        join(directory, "mine.ts"),
      );
      assert.match(stderr, refusal);
      assert.equal(stdout, "");
      assert.equal(code, 5, stderr);
    });
  }
});

Deno.test("policy new writes a policy that policy check and generate accept", async () => {
  await withPlugins({}, async (directory) => {
    const path = join(directory, "My Policy.ts");
    const written = await runMain("policy", "new", path);
    assert.equal(written.code, 0, written.stderr);
    const { imports } = JSON.parse(await Deno.readTextFile(join(directory, "deno.json")));
    assert.deepEqual(Object.keys(imports), ["ebb/policy", "zod"]);
    const again = await runMain("policy", "new", path);
    assert.deepEqual([again.code, again.stdout], [2, ""]);
    assert.match(again.stderr, /My Policy\.ts exists already/);

    const checked = await runMain("policy", "check", path);
    assert.match(checked.stdout, /^my-policy: no fault found; \d+ prompts compressed/);
    assert.equal(checked.code, 0);
    assert.match(await Deno.readTextFile(`${path}.check.svg`), /^<svg [^]*my-policy/);

    const generated = await runMain(
      "generate",
      "--plugin",
      path,
      "--policy",
      "my-policy",
      "--kv-budget",
      "32",
      "--max-tokens",
      "4",
      "--prompt",
      TEXT,
    );
    assert.equal(generated.code, 0, generated.stderr);
    assert.match(generated.stderr, /KV rows kept per layer \(my-policy\), of \d+: [\d .]+\n/);
  });
});

Deno.test("policy check exits 1 and names what is wrong", async () => {
  const text = broken(KEYS, "layers.map(() => 0.5)").replaceAll("NAME", "halves");
  await withPlugins({ "mine.ts": text }, async (directory) => {
    const { code, stdout } = await runMain("policy", "check", join(directory, "mine.ts"));
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^halves: The policy's budget of layer 0 must be a whole number of rows, but is 0\.5\n {2}with a prompt of \d+ tokens/,
    );
  });
});
