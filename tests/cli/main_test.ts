import assert from "node:assert/strict";
import { withDirectory } from "../support/files.ts";

const MAIN = new URL("../../main.ts", import.meta.url).href;
const STORIES = new URL("../../../shared/models/stories260K.gguf", import.meta.url).pathname;
const hasStories = await Deno.stat(STORIES).then(() => true, () => false);
if (!hasStories) console.log("Skipping inspect on a real model: ../shared/models/stories260K.gguf is missing");

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program without the EBB_* variables of whoever runs the tests. */
async function main(args: readonly string[], environment: Record<string, string> = {}): Promise<Outcome> {
  const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !name.startsWith("EBB_"));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, ...args],
    env: { ...Object.fromEntries(inherited), ...environment, NO_COLOR: "1" },
    clearEnv: true,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("--help prints to standard output and exits 0, for the program and each command", async () => {
  for (
    const args of [["--help"], ["-h"], ["serve", "--help"], ["help"], ["help", "inspect"], ["generate", "-h"], [
      "eval",
      "-h",
    ], [
      "eval",
      "score",
      "-h",
    ]]
  ) {
    const { code, stdout, stderr } = await main(args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Usage: main\.ts /m);
    assert.equal(stderr, "");
  }
});

Deno.test("--version prints the project's version", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assert.deepEqual(await main(["--version"]), { code: 0, stdout: `ebb ${version}\n`, stderr: "" });
});

/** Arguments that are refused, the environment, and what standard error says: one sentence, no stack. */
const REFUSED: readonly [string[], Record<string, string>, number, RegExp][] = [
  [
    [],
    {},
    2,
    /^A command is missing: serve, [^\n]*generate, [^\n]*; see --help\n$/,
  ],
  [["srve"], {}, 2, /^Unknown command "srve": did you mean serve\?\n$/],
  [
    ["toString"],
    {},
    2,
    /^Unknown command "toString": expected serve, generate, [^\n]*; see --help\n$/,
  ],
  [["eval", "compar"], {}, 2, /^Unknown command "eval compar": did you mean eval compare\?\n$/],
  [["eval"], {}, 2, /^Unknown command "eval": expected eval compare, eval score; see --help\n$/],
  [
    ["policy", "nonsense"],
    {},
    2,
    /^Unknown command "policy nonsense": expected policy new, policy check, policy try; [^\n]*\n$/,
  ],
  [["serve", "--prot", "1"], {}, 2, /^Unknown flag --prot: did you mean --port\?\n$/],
  [["serve"], { EBB_MODEL: "m", EBB_PORT: "x" }, 2, /^EBB_PORT must be a whole number from 0 to 65535, not "x"\n$/],
  [["serve", "--api-key", "clé"], {}, 2, /^--api-key must be a key of visible ASCII [^\n]*, not "clé"\n$/],
  [["serve", "--host", "localhost:80"], {}, 2, /^--host must be a host name or address, without a port, not [^\n]*\n$/],
  [
    ["eval", "score"],
    {},
    2,
    /^--predictions is missing: name a folder with files TASK\.jsonl, or set EBB_PREDICTIONS\n$/,
  ],
  [
    ["eval", "score", "--predictions", "no-such-folder"],
    {},
    2,
    /^--predictions must be a folder with files TASK\.jsonl, but no-such-folder does not exist\n$/,
  ],
  [["eval", "compare"], {}, 2, /^--out is missing: name a file to write, or set EBB_OUT\n$/],
  [
    ["eval", "compare", "--out", "a.json", "--suite", "ruler", "--tasks", "vt,nope"],
    {},
    2,
    /^--tasks must name tasks of --suite ruler, niah_single_1, [^\n]*fwe, not nope\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--suite", "longbench"],
    {},
    2,
    /^--records is missing: --suite longbench needs a folder with LongBench's TASK\.jsonl\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--suite", "longbench", "--records", "no-such-folder"],
    {},
    2,
    /^--records must be a folder with files TASK\.jsonl, but no-such-folder does not exist\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--policies", "snapkv,snapkw"],
    {},
    2,
    /^--policies must be a list, with commas, each entry dynamickv, [^\n]*, not "snapkw": did you mean snapkv\?\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--tasks", "code,nedle"],
    {},
    2,
    /^--tasks must name tasks of --suite tasks, [^\n]*code, not nedle: did you mean needle\?\n$/,
  ],
  [
    ["chat", "--policy", "dynamicv"],
    {},
    2,
    /^--policy must be dynamickv, [^\n]*, not "dynamicv": did you mean dynamickv\?\n$/,
  ],
  [["tasks", "--family", "few-shot", "--depth", "0.5"], {}, 2, /^--depth means nothing for few-shot, [^\n]*\n$/],
  [["tasks", "--family", "nedle"], {}, 2, /^--family must be [^\n]*, not "nedle": did you mean needle\?\n$/],
  [
    ["serve", "--config", "no-such-file.json"],
    {},
    2,
    /^--config no-such-file\.json cannot be read: No such file or directory\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--suite", "ruler", "--squad", "no-such-file.json"],
    {},
    2,
    /^--squad no-such-file\.json cannot be read: No such file or directory\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--suite", "ruler", "--hotpot", "deno.json"],
    {},
    2,
    /^--hotpot deno\.json is not as expected: [^\n]*\n$/,
  ],
  [
    ["bench", "serve", "--dataset", "sharegpt", "--api-model", "m", "--records", "no-such-file.json"],
    {},
    2,
    /^--records no-such-file\.json cannot be used: No such file or directory\n$/,
  ],
  [
    ["serve", "--api-key-file", "no-such-file.json"],
    {},
    2,
    /^The API keys in no-such-file\.json cannot be read: No such file or directory\n$/,
  ],
  [
    ["bench", "serve", "--url", "localhost:8000"],
    {},
    2,
    /^--url must be an address such as [^\n]*, not "localhost:8000"\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--api-model", "m", "--url", "nonsense"],
    {},
    2,
    /^--url must be an address such as http:\/\/localhost:8000, not "nonsense"\n$/,
  ],
  [["policy", "new", "no-such-folder/mine.ts"], {}, 2, /^[^\n]*no-such-folder[^\n]*\n$/],
  [
    ["eval", "compare", "--out", "a.json", "--budgets", "64,0%"],
    {},
    2,
    /^--budgets must be a list, with commas, each entry a whole number [^\n]*, not "64,0%"\n$/,
  ],
  [
    ["eval", "compare", "--out", "a.json", "--model", "no-such-model.gguf"],
    {},
    4,
    /^no-such-model\.gguf does not exist: [^\n]*\n$/,
  ],
  [
    ["generate", "--prompt", "a", "--policy", "streaming", "--decode-eviction", "50"],
    {},
    2,
    /^(No GPU[^\n]*\n)?--decode-eviction 50: The KV cache policy "streaming" cannot evict [^\n]* expected one of dynamickv, [^\n]*\n$/,
  ],
  [["generate", "--prompt", "a", "--system", "b"], {}, 2, /^--system means nothing without --chat: [^\n]*\n$/],
  [["generate", "--prompt", "a", "--stop", ""], {}, 2, /^--stop must be a text that is not empty, not ""\n$/],
  [["chat", "--min-p", "-0.1"], {}, 2, /^--min-p must be a number from 0 to 1, not "-0\.1"\n$/],
  [
    ["eval", "compare", "--out", "no-such-folder/a.json"],
    {},
    2,
    /^--out must be a file in a folder that is there, but no-such-folder does not exist\n$/,
  ],
  [["eval", "compare", "--out", "a.txt"], {}, 2, /^--out must be a file whose name ends with \.json, not "a\.txt"\n$/],
  [
    ["eval", "compare", "--out", "a.json", "--api-key", "k"],
    {},
    2,
    /^--api-key means nothing without --url: [^\n]*\n$/,
  ],
  [
    ["bench", "serve", "--out", "main.ts/a.json"],
    {},
    2,
    /^--out must be a file in a folder [^\n]* main\.ts is none\n$/,
  ],
  [
    ["policy", "check", "mine.ts", "--out", ".svg"],
    {},
    2,
    /^--out must be a file whose name ends with \.svg, [^\n]*\n$/,
  ],
  [["serve", "--max-batch", "100000"], {}, 2, /^--max-batch must be a whole number from 1 to 1024, not "100000"\n$/],
  [
    ["generate", "--prompt", "Once upon a time", "--context", "3", "--device", "cpu"],
    {},
    2,
    /^The prompt has \d+ tokens: expected fewer than the context of 3\n$/,
  ],
  [
    ["generate", "--prompt", "a", "--context", "999999999", "--device", "cpu"],
    {},
    2,
    /^[^\n]*the model was made for 8192 tokens[^\n]*\n[^\n]*WebAssembly[^\n]* expected a --context of at most \d+[^\n]*\n$/,
  ],
  [
    ["serve", "--port", "0", "--kv-memory", "12", "--device", "cpu"],
    {},
    2,
    /^--kv-memory is 12 bytes: expected at least \d+ \(\d+KiB\), which the shortest request needs\n$/,
  ],
  [
    ["serve", "--port", "0", "--kv-memory", "1000GiB", "--device", "cpu"],
    {},
    2,
    /^WebAssembly addresses 4\.0 GiB, [^\n]*: expected a --kv-memory of at most \d+MiB\n$/,
  ],
  [["inspect", "no-such-model.gguf"], {}, 4, /^no-such-model\.gguf does not exist: [^\n]*\n$/],
];

for (const [args, environment, expected, message] of REFUSED) {
  Deno.test(`"${args.join(" ")}" exits ${expected} with a sentence`, async () => {
    const { code, stdout, stderr } = await main(args, environment);
    assert.match(stderr, message);
    assert.equal(stdout, "");
    assert.equal(code, expected);
  });
}

Deno.test("whoever stops reading ends the program, without a word", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, "generate", "--prompt", "Once upon a time", "--max-tokens", "8000"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const stderr = await new Response(child.stderr).text();
  assert.doesNotMatch(stderr, /pipe|error|at file:/i);
  assert.equal((await child.status).code, 141);
});

Deno.test({
  name: "output that finds no room is said to find none",
  ignore: !await Deno.stat("/dev/full").then(() => true, () => false),
  async fn() {
    const command = `"${Deno.execPath()}" run -A --no-check "${MAIN}" --version > /dev/full`;
    const { code, stderr } = await new Deno.Command("sh", { args: ["-c", command] }).output();
    assert.equal(new TextDecoder().decode(stderr), "Standard output cannot be written: No space left on device\n");
    assert.equal(code, 1);
  },
});

Deno.test({
  name: "inspect --json tells the truth about a real model",
  ignore: !hasStories,
  async fn() {
    const { code, stdout, stderr } = await main(["inspect", STORIES, "--json"]);
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout);
    assert.equal(report.architecture, "llama");
    assert.equal(report.tensors.length, 48);
    assert.deepEqual(report.quantisation.map(({ type }: { type: string }) => type), ["F32"]);
    // 4 bytes for each F32 element.
    assert.equal(report.tensorBytes, 4 * report.parameters);
    // 5 layers x (key + value) x 4 heads x 8 elements x 2 bytes.
    assert.equal(report.memory.kvPerToken, 640);
    assert.equal(report.memory.context, 128);
    assert.equal(report.metadata["tokenizer.ggml.tokens"].length, 9);
  },
});

Deno.test({
  name: "inspect prints text for people, with the model in the environment",
  ignore: !hasStories,
  async fn() {
    const { code, stdout, stderr } = await main(["inspect"], { EBB_MODEL: STORIES });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^ {2}token_embd\.weight +F32 +512 x 64 +128\.0 KiB$/m);
  },
});

Deno.test("eval score prints the score of each task as JSON, and a sentence for a malformed record", async () => {
  const good = '{"pred": "3", "answers": ["3"], "all_classes": null, "length": 1}\n';
  await withDirectory({ "passage_count.jsonl": good }, async (folder) => {
    const { code, stdout, stderr } = await main(["eval", "score", "--predictions", folder]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { passage_count: 100 });
  });
  await withDirectory({ "passage_count.jsonl": `${good}{"pred": "3"}` }, async (folder) => {
    const outcome = await main(["eval", "score", "--predictions", folder]);
    const message =
      `${folder}/passage_count.jsonl line 2: the field "answers" must be a list of texts, but it is missing\n`;
    assert.deepEqual(outcome, { code: 1, stdout: "", stderr: message });
  });
});
