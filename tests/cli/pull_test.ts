import assert from "node:assert/strict";
import { FakeHub } from "../support/fake_hub.ts";
import { withDirectory } from "../support/files.ts";
import project from "../../deno.json" with { type: "json" };

const MAIN = new URL("../../main.ts", import.meta.url).href;
/** Deno's own arguments in the task `start`: what it may do, with this folder for the user's. */
const startPermissions = (home: string) =>
  project.tasks.start.command.split(" ").filter((argument) => argument.startsWith("--"))
    .map((argument) => argument.replaceAll("$HOME", home));
const MODEL = await Deno.readFile(new URL("../../models/ebb-mini.gguf", import.meta.url));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Start = (...args: string[]) => Deno.ChildProcess;
type Main = (...args: string[]) => Promise<Outcome>;

/** A hub that has the model that comes with Ebb, and the program with an empty cache; `start` leaves it running. */
function scene(action: (hub: FakeHub, main: Main, start: Start) => Promise<void>): Promise<void> {
  return withDirectory({}, async (cache) => {
    await using hub = await FakeHub.start();
    hub.files = { "mini.gguf": MODEL };
    const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !/^(EBB|HF)_/.test(name));
    const env = { ...Object.fromEntries(inherited), HF_ENDPOINT: hub.endpoint, EBB_CACHE: cache, NO_COLOR: "1" };
    const start: Start = (...args) =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", MAIN, ...args],
        env,
        clearEnv: true,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    const main: Main = async (...args) => {
      const { code, stdout, stderr } = await start(...args).output();
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    };
    await action(hub, main, start);
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
      [["pull", "hf:o"], 2, /^hf:o names no model: expected [^\n]*\n$/],
      [["inspect", "hf:o"], 2, /^hf:o names no model: expected [^\n]*\n$/],
      [["pull", "https://example.com/"], 2, /^https:\/\/example\.com\/ is no file's URL: expected [^\n]*\n$/],
      [["generate", "--model", "hf:o", "--prompt", "x"], 2, /^hf:o names no model: expected [^\n]*\n$/],
      [["rm", "hf:o/r"], 2, /^hf:o\/r is not in the cache; there: no model\n$/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stdout, stderr } = await main(...args);
      assert.match(stderr, message);
      assert.equal(stdout, "");
      assert.equal(code, expected);
    }
  }));

Deno.test("a hub's address that is none is a bad value", () =>
  withDirectory({}, async (cache) => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", MAIN, "pull", "hf:o/r"],
      env: { HF_ENDPOINT: "hub", EBB_CACHE: cache, NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const words = 'HF_ENDPOINT must be a URL such as https://huggingface.co, not "hub"\n';
    assert.deepEqual([code, new TextDecoder().decode(stderr)], [2, words]);
  }));

Deno.test("a process that was killed left what it had, and the next one asks for the rest", () =>
  scene(async (hub, main, start) => {
    const second = Promise.withResolvers<void>();
    hub.fault = ({ server }) => {
      if (server !== "store") return undefined;
      if (hub.ranges.length === 1) return { breakAfter: 1_000_000 };
      second.resolve();
      return { stall: true };
    };
    const killed = start("pull", "hf:o/r");
    await second.promise;
    killed.kill("SIGKILL");
    await killed.output();

    hub.fault = () => undefined;
    hub.requests.length = 0;
    const { code, stdout } = await main("pull", "hf:o/r");
    assert.equal(code, 0);
    assert.deepEqual(hub.ranges, [`bytes=1000000-${MODEL.length - 1}`]);
    assert.deepEqual(await Deno.readFile(stdout.trimEnd()), MODEL);
  }));

Deno.test("deno task start may write where models are kept, and says what to do where they are kept elsewhere", () =>
  withDirectory({}, async (home) => {
    await using hub = await FakeHub.start();
    hub.files = { "mini.gguf": MODEL };
    const inspect = async (cache: Record<string, string>) => {
      const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
      const { denoDir } = JSON.parse(new TextDecoder().decode(info.stdout));
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", ...startPermissions(home), MAIN, "inspect", "hf:o/r"],
        env: {
          HOME: home,
          PATH: Deno.env.get("PATH")!,
          DENO_DIR: denoDir,
          HF_ENDPOINT: hub.endpoint,
          NO_COLOR: "1",
          ...cache,
        },
        clearEnv: true,
        stdin: "null",
      }).output();
      return { code, stderr: new TextDecoder().decode(stderr) };
    };
    const folder = Deno.build.os === "darwin" ? "Library/Caches" : ".cache";
    const allowed = await inspect({});
    assert.equal(allowed.code, 0, allowed.stderr);
    assert.ok((await Deno.stat(`${home}/${folder}/ebb/models/index.json`)).isFile);

    assert.deepEqual(await inspect({ EBB_CACHE: `${home}/elsewhere` }), {
      code: 1,
      stderr:
        `hf:o/r must be downloaded into ${home}/elsewhere, where this process may not write: get it beforehand, with\n` +
        `  deno run -A main.ts pull hf:o/r\nor start with --allow-write=${home}/elsewhere\n`,
    });
  }));
