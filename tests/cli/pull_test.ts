import assert from "node:assert/strict";
import { FakeHub } from "../support/fake_hub.ts";
import { withDirectory } from "../support/files.ts";

const MAIN = new URL("../../main.ts", import.meta.url).href;
const MODEL = await Deno.readFile(new URL("../../models/ebb-mini.gguf", import.meta.url));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A hub that has the model that comes with Ebb, and the program with an empty cache. */
function scene(action: (hub: FakeHub, main: (...args: string[]) => Promise<Outcome>) => Promise<void>): Promise<void> {
  return withDirectory({}, async (cache) => {
    await using hub = await FakeHub.start();
    hub.files = { "mini.gguf": MODEL };
    const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !/^(EBB|HF)_/.test(name));
    const env = { ...Object.fromEntries(inherited), HF_ENDPOINT: hub.endpoint, EBB_CACHE: cache, NO_COLOR: "1" };
    await action(hub, async (...args) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", MAIN, ...args],
        env,
        clearEnv: true,
        stdin: "null",
      }).output();
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    });
  });
}

Deno.test("a model is pulled by need, listed, opened from the cache, and deleted", () =>
  scene(async (hub, main) => {
    const first = await main("inspect", "hf:o/r", "--json");
    assert.equal(first.code, 0, first.stderr);
    assert.match(
      first.stderr,
      /^Pulling hf:o\/r: 0 B of 1\.9 MiB\n(.*\n)*Pulling hf:o\/r: 1\.9 MiB of 1\.9 MiB[^\n]*\n$/,
    );
    assert.equal(JSON.parse(first.stdout).architecture, "llama");

    const requests = hub.requests.length;
    assert.deepEqual(await main("inspect", "hf:o/r:mini.gguf", "--json"), { ...first, stderr: "" });
    assert.equal(hub.requests.length, requests);

    const listed = await main("models");
    assert.match(listed.stdout, /^hf:o\/r:mini\.gguf {2}1\.9 MiB {2}\d{4}-\d\d-\d\d\n$/);
    assert.equal((await main("rm", "hf:o/r")).stderr, "hf:o/r:mini.gguf is deleted: 1.9 MiB\n");
    const { stdout, stderr } = await main("models");
    assert.equal(stdout, "");
    assert.match(stderr, /^No models in .*: main\.ts pull gets one\n$/);
  }));

Deno.test("what cannot be pulled or deleted is a sentence and an exit code", () =>
  scene(async (_, main) => {
    const cases: readonly [string[], number, RegExp][] = [
      [["pull"], 2, /^MODEL is missing: name hf:OWNER\/REPO, hf:OWNER\/REPO:FILE or a URL, or set EBB_MODEL\n$/],
      [["pull", "model.gguf"], 2, /^model\.gguf names no model to pull: expected hf:OWNER\/REPO, [^\n]* or a URL\n$/],
      [["pull", "hf:o/other"], 4, /^hf:o\/other does not exist \(RepoNotFound\)\n$/],
      [["inspect", "hf:o"], 4, /^hf:o names no model: expected [^\n]*\n$/],
      [["rm", "hf:o/r"], 2, /^hf:o\/r is not in the cache; there: no model\n$/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stdout, stderr } = await main(...args);
      assert.match(stderr, message);
      assert.equal(stdout, "");
      assert.equal(code, expected);
    }
  }));
