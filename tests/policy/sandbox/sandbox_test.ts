import assert from "node:assert/strict";
import { startPolicy } from "../../../src/policy/fence.ts";
import { optionsJsonSchema, parseKvCacheChoice } from "../../../src/policy/choice.ts";
import type { LayerContext } from "../../../src/policy/context.ts";
import { Sandbox } from "../../../src/policy/sandbox/sandbox.ts";
import type { PolicyRegistry } from "../../../src/policy/registry.ts";
import { registryOf } from "../../../src/serving/policies.ts";
import { bundled, pluginTest } from "../../support/plugins.ts";

const context = {
  layerCount: 3,
  kvHeadCount: 2,
  headSize: 8,
  blockSize: 16,
  promptLength: 100,
  budget: 20,
  messages: [],
};
const layer = { histogram: new Uint32Array(864), heldRows: 12 };

/** Policies of a file in a sandbox, and outside. */
async function withSandbox(text: string, use: (sandboxed: PolicyRegistry, plain: PolicyRegistry) => void) {
  const sandboxed = registryOf(await bundled(text, {}, true));
  try {
    use(sandboxed, registryOf(await bundled(text)));
  } finally {
    sandboxed.files.forEach((file) => file.close!());
  }
}

const WHOLE = `
import { defineAllocator, definePolicy, defineScorer, keyNorm, onHost, z } from "ebb/policy";
const scorer = defineScorer({
  name: "mine", description: "Mine",
  options: z.strictObject({
    window: z.int().min(1).default(8).describe("Last rows"),
    kernel: z.int().refine((width) => width % 2 === 1, "must be odd").optional(),
  }),
  score: (_context, { window, kernel }) => kernel === undefined ? [keyNorm({ window })] : [onHost({
    window, needs: ["keys"], score: ({ keys }, { layer }) => [keys[0], layer, kernel, NaN],
  })],
});
const allocator = defineAllocator({
  name: "mine", description: "Mine", options: z.strictObject({ first: z.number().default(1) }),
  schedule: ({ base }, { first }) => ({ provisionalRows: Math.floor(first * base), interval: 1 }),
  allot: (layers, _context, { first }) => layers.map(({ heldRows }) => first < 0.5 ? NaN : heldRows),
});
export default [definePolicy({ name: "mine", description: "Mine", scorer, allocator, defaults: { window: 4 } }),
  definePolicy({ name: "theirs", description: "Theirs", scorer: "snapkv", allocator })];
`;

pluginTest(
  "a policy in a sandbox is the same as outside: its options, their checks and defaults, its score and its budgets",
  async () => {
    await withSandbox(WHOLE, (sandboxed, plain) => {
      for (const name of ["mine", "theirs", "mine+dynamickv", "h2o+mine"]) {
        const [inside, outside] = [sandboxed, plain].map((registry) => registry.find(name)!);
        assert.equal(inside.ranksAgain, outside.ranksAgain);
        assert.deepEqual(
          Object.keys(optionsJsonSchema(inside).properties as object),
          Object.keys(optionsJsonSchema(outside).properties as object),
        );
        const [actual, expected] = [inside, outside].map((policy) => policy.start(context, {})!);
        assert.deepEqual(actual.score, expected.score);
        assert.equal(actual.provisionalRows(0), expected.provisionalRows(0));
        assert.deepEqual([...actual.allot([layer]) as number[]], [...expected.allot([layer]) as number[]]);
      }
      const schema = optionsJsonSchema(sandboxed.find("mine")!) as {
        properties: Record<string, Record<string, unknown>>;
      };
      assert.equal(schema.properties.window.default, 4);
      assert.equal(schema.properties.window.description, "Last rows");
      const choose = (options: object) =>
        parseKvCacheChoice({ policy: "mine", options }, { policy: "full", budget: 20 }, sandboxed);
      assert.throws(() => choose({ window: 0 }), /Invalid kv_cache.options.window 0: too small.*>=1/);
      assert.throws(() => choose({ kernel: 2 }), /Invalid kv_cache.options.kernel 2: must be odd/);
      assert.throws(
        () => choose({ kernal: 3 }),
        /Unknown field kv_cache.options.kernal: known fields are window, kernel, first/,
      );
    });
  },
);

pluginTest(
  "functions of a score's steps are called in the sandbox, and what comes back is checked like anything else",
  async () => {
    await withSandbox(WHOLE, (sandboxed) => {
      const reasons: string[] = [];
      const started = startPolicy(sandboxed.find("mine")!, { ...context, promptLength: 6, budget: 3 }, {
        window: 2,
        kernel: 3,
        first: 0.6,
      }, (reason) => reasons.push(reason))!;
      const [hostStep] = started.hostSteps;
      const layerContext = { ...context, layer: 7, scoredRows: 2, queryHeadCount: 4 } as unknown as LayerContext;
      const computed = started.computeOnHost(hostStep, { keys: Float32Array.of(5) }, layerContext);
      // What is no number counts as 0.
      assert.deepEqual([...computed!], [5, 7, 3, 0]);
      assert.deepEqual(reasons, []);
    });
    await withSandbox(WHOLE, (sandboxed) => {
      const reasons: string[] = [];
      const policy = startPolicy(sandboxed.find("mine")!, context, { first: 0.3 }, (reason) => reasons.push(reason))!;
      assert.deepEqual([...policy.allot([layer])], [12]);
      assert.match(reasons.join(), /must be a whole number of rows, but is NaN/);
    });
  },
);

/** A policy whose score runs some code, which returns a list of steps. */
const running = (code: string) =>
  `import { definePolicy, keyNorm } from "ebb/policy";
   export default definePolicy({ name: "p", description: "P", score: () => { ${code} ; return [keyNorm({ window: 8 })]; } });`;

for (
  const [what, code, reason] of [
    ["reads a file", `Deno.readTextFileSync("/etc/hostname")`, /Requires read access/],
    ["looks at its environment", `Deno.env.get("HOME")`, /Requires env access/],
    ["runs a program", `new Deno.Command("true").outputSync()`, /Requires run access/],
    ["makes code of text", `(globalThis as any)["ev" + "al"]("1")`, /cannot make code of text/],
    ["makes code of text in a roundabout way", `(() => {}).constructor("return 1")()`, /cannot make code of text/],
    ["makes code of text for later", `(async () => {}).constructor("return 1")()`, /cannot make code of text/],
    ["throws", `throw new Error("Out of luck")`, /^Out of luck \(.*mine\.ts:2:\d+\)$/],
  ] as [string, string, RegExp][]
) {
  pluginTest(`in a sandbox, a policy that ${what} is told so, and falls back`, async () => {
    await withSandbox(running(code), (sandboxed) => {
      const reasons: string[] = [];
      const started = startPolicy(sandboxed.find("p")!, context, {}, (reason) => reasons.push(reason));
      assert.ok(started);
      assert.match(reasons.join(), reason);
    });
  });
}

pluginTest(
  "a call that loops for ever ends, in a sandbox too, and who asks next is answered",
  async () => {
    const text = `import { defineAllocator, definePolicy, keyNorm } from "ebb/policy";
    export default definePolicy({
      name: "p", description: "P", score: () => [keyNorm({ window: 8 })],
      allocator: defineAllocator({
        name: "p", description: "P", schedule: ({ base }) => ({ provisionalRows: base, interval: 1 }),
        allot(layers) { while (layers.length === 2); return layers.map(({ heldRows }) => heldRows); },
      }),
    });`;
    await withSandbox(text, (sandboxed) => {
      const reasons: string[] = [];
      const start = () => startPolicy(sandboxed.find("p")!, context, {}, (reason) => reasons.push(reason))!;
      const policy = start();
      assert.deepEqual([...policy.allot([layer])], [12]);
      assert.deepEqual([...policy.allot([layer, layer])], [12, 12]);
      // The loop ends itself, unless the process does so much else that whoever asks has waited enough.
      assert.match(reasons.join(), /allot\(\) computed for longer than 1000 ms|did not answer allot\(\) in time/);
      assert.deepEqual([...start().allot([layer])], [12]);
      assert.equal(reasons.length, 1);
    });
  },
);

pluginTest(
  "a call that neither loops nor ends costs its sandbox, which is started anew for whoever asks next",
  async () => {
    const [bundle] = await bundled(
      `import { defineScorer, keyNorm } from "ebb/policy";
    export default defineScorer({
      name: "p", description: "P",
      score({ budget }) {
        if (budget === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        return [keyNorm({ window: 8 })];
      },
    });`,
      {},
      true,
    );
    const short = { computed: Infinity, passed: 300 };
    const long = { computed: Infinity, passed: 60_000 };
    const patience = { describe: long, parse: long, score: short, schedule: long, allot: long, host: long };
    const sandbox = new Sandbox(bundle, patience);
    try {
      const ask = (budget: number) =>
        sandbox.ask({ type: "score", half: 0, context: { ...context, budget }, options: {} });
      assert.throws(() => ask(0), /mine\.ts did not answer score\(\) in time: its sandbox was ended$/);
      short.passed = 60_000;
      assert.ok(ask(20));
    } finally {
      sandbox.close();
    }
  },
);

pluginTest("what cannot be evaluated is told when it is loaded, in a sandbox too", async () => {
  const [bundle] = await bundled(`const x: any = null;\nexport default x.y;`, {}, true);
  assert.throws(() => registryOf([bundle]), /mine\.ts:2:18: Cannot read properties of null/);
});
