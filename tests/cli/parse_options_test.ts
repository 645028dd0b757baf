import assert from "node:assert/strict";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { INSPECT_FLAGS } from "../../src/cli/flags/models.ts";
import { GENERATE_FLAGS, SERVE_FLAGS } from "../../src/cli/flags/serving.ts";
import { environmentName, flagName } from "../../src/cli/option_names.ts";
import { nearest } from "../../src/text/nearest.ts";
import { asksForHelp, parseOptions } from "../../src/cli/parse_options.ts";

function parseServe(line: string, environment: Record<string, string> = {}) {
  return parseOptions(line.split(" ").filter(Boolean), SERVE_FLAGS, environment);
}

Deno.test("An option's flag and variable are spelt from its name", () => {
  assert.equal(flagName("kvBudget"), "--kv-budget");
  assert.equal(environmentName("kvBudget"), "EBB_KV_BUDGET");
});

Deno.test("serve has defaults for everything but names", () => {
  const options = parseServe("--model m.gguf");
  assert.deepEqual(Object.keys(options), Object.keys(SERVE_FLAGS));
  assert.deepEqual(Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)), {
    model: ["m.gguf"],
    policy: "ebbkv",
    kvBudget: 1024,
    sandboxPlugins: false,
    watchPlugins: false,
    device: "auto",
    host: "127.0.0.1",
    port: 8000,
    maxBatch: 16,
    maxQueue: 256,
    specialTokensInMessages: false,
    logFormat: "json",
    logLevel: "info",
    printConfig: false,
  });
});

Deno.test("serve reads every flag, with a space or an equals sign", () => {
  const line =
    "--model=m.gguf --model x=n,o.gguf --max-models 1 --alias y,z --policy full --plugin a.ts --plugin b.ts,c --sandbox-plugins --watch-plugins --kv-budget 6.9% --decode-eviction 64 --context 4096 --device cpu --threads 2 --cpu-weights f32 --host=[::1] --port 0 --kv-memory 2G,x=1GiB --prefix-cache 0 " +
    "--kv-type f32 --max-batch 4 --max-queue 0 --model-id tiny --api-key secret " +
    "--allowed-origins http://localhost:3000,https://example.org --allowed-hosts ebb.example,[fd00::5] " +
    "--special-tokens-in-messages --embedding-model encoder --socket ebb.sock --tls-cert c.pem --tls-key k.pem " +
    "--api-key-file keys.json --requests-per-minute 60 --request-timeout 2.5 --log-format text --log-level error " +
    "--print-config";
  assert.deepEqual(parseServe(line), {
    embeddingModel: "encoder",
    model: ["m.gguf", "x=n,o.gguf"],
    maxModels: 1,
    alias: ["y", "z"],
    policy: "full",
    kvBudget: "6.9%",
    decodeEviction: 64,
    plugin: ["a.ts", "b.ts", "c"],
    sandboxPlugins: true,
    watchPlugins: true,
    context: 4096,
    device: "cpu",
    threads: 2,
    cpuWeights: "f32",
    host: "::1",
    port: 0,
    kvMemory: ["2G", "x=1GiB"],
    prefixCache: 0,
    kvType: "f32",
    maxBatch: 4,
    maxQueue: 0,
    modelId: "tiny",
    apiKey: "secret",
    allowedOrigins: ["http://localhost:3000", "https://example.org"],
    allowedHosts: ["ebb.example", "fd00::5"],
    specialTokensInMessages: true,
    socket: "ebb.sock",
    tlsCert: "c.pem",
    tlsKey: "k.pem",
    apiKeyFile: "keys.json",
    requestsPerMinute: 60,
    requestTimeout: 2.5,
    logFormat: "text",
    logLevel: "error",
    config: undefined,
    printConfig: true,
  });
});

Deno.test("The last of a repeated flag counts", () => {
  assert.equal(parseServe("--model a --port 1 --port 2").port, 2);
});

Deno.test("Stop strings add up, commas and all", () => {
  const parse = (...args: string[]) => parseOptions(["--prompt", "a", ...args], GENERATE_FLAGS, {}).stop;
  assert.deepEqual(parse("--stop", "a,b", "--stop", "\n"), ["a,b", "\n"]);
  assert.equal(parse(), undefined);
});

Deno.test("generate takes - as a prompt, and a prompt with dashes after an equals sign", () => {
  const parse = (prompt: string[]) => parseOptions(["--model", "m", ...prompt], GENERATE_FLAGS, {}).prompt;
  assert.equal(parse(["--prompt", "-"]), "-");
  assert.equal(parse(["--prompt=--help"]), "--help");
});

Deno.test("inspect takes its file with or without a flag", () => {
  for (const args of [["m.gguf", "--json"], ["--json", "--model", "m.gguf"], ["--json", "--", "m.gguf"]]) {
    assert.deepEqual(parseOptions(args, INSPECT_FLAGS, {}, ["model"]), { model: "m.gguf", json: true });
  }
});

Deno.test("The environment stands in for flags, and flags win over it", () => {
  const environment = { EBB_MODEL: "environment.gguf", EBB_KV_BUDGET: "10%", EBB_PORT: "9000" };
  const { model, kvBudget, port } = parseServe("--port 7000", environment);
  assert.deepEqual({ model, kvBudget, port }, { model: ["environment.gguf"], kvBudget: "10%", port: 7000 });
});

Deno.test("A bad variable is not looked at when the flag is given", () => {
  assert.equal(parseServe("--model m --port 1", { EBB_PORT: "bad" }).port, 1);
});

Deno.test("An empty variable counts as unset", () => {
  assert.equal(parseServe("--model m", { EBB_PORT: "" }).port, 8000);
});

Deno.test("inspect's --json can be switched in the environment", () => {
  const parse = (value: string) => parseOptions(["m"], INSPECT_FLAGS, { EBB_JSON: value }, ["model"]).json;
  assert.equal(parse("1"), true);
  assert.equal(parse("false"), false);
});

/** What is typed, what is in the environment, and what the error must say. */
const ERRORS: readonly [string, Record<string, string>, string][] = [
  [
    "--model",
    {},
    "--model needs a value: a GGUF file, a directory with safetensors, hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL",
  ],
  [
    "--model=",
    {},
    '--model must be a GGUF file, a directory with safetensors, hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL, not ""',
  ],
  ["--model m --port", {}, "--port needs a value: a whole number from 0 to 65535"],
  [
    "--model m --port --host x",
    {},
    "--port needs a value: a whole number from 0 to 65535 (a value with dashes in front is written --port=VALUE)",
  ],
  ["--model m --port 65536", {}, '--port must be a whole number from 0 to 65535, not "65536"'],
  ["--model m --port -1", {}, '--port must be a whole number from 0 to 65535, not "-1"'],
  [
    "--model m --kv-budget 0",
    {},
    "--kv-budget must be a whole number of rows of at least 1, or a share of the prompt such as 6.9%, or auto, which can be " +
    "followed by the share of the attention to keep and the most that it may come to, such as auto:0.98 or " +
    'auto:0.98:1024, not "0"',
  ],
  [
    "--model m --kv-memory lots",
    {},
    "--kv-memory must be a list, with commas, each entry a size such as 512MiB, 2G or 1000000000, or one for a model such " +
    'as small=1G, not "lots"',
  ],
  ["--model m --kv-type f8", {}, '--kv-type must be f16 or f32, not "f8"'],
  ["--model m --max-batch 0", {}, '--max-batch must be a whole number from 1 to 1024, not "0"'],
  ["--model m --max-queue x", {}, '--max-queue must be a whole number of at least 0, not "x"'],
  ["--model m --context 0", {}, '--context must be a whole number of at least 1, not "0"'],
  ["--model m", { EBB_PORT: "http" }, 'EBB_PORT must be a whole number from 0 to 65535, not "http"'],
  ["--model m --prot 1", {}, "Unknown flag --prot: did you mean --port?"],
  ["--model m --kv-bugdet 1", {}, "Unknown flag --kv-bugdet: did you mean --kv-budget?"],
  ["--model m --max_batch 1", {}, "Unknown flag --max_batch: did you mean --max-batch?"],
  ["--model m --frobnicate", {}, "Unknown flag --frobnicate: --help lists the flags"],
  ["--model m -p 1", {}, "Unknown flag -p: --help lists the flags"],
  ["m.gguf", {}, 'Unexpected argument "m.gguf": a value follows its flag, as in --model FILE'],
];

for (const [line, environment, message] of ERRORS) {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value} `).join("");
  Deno.test(`${variables}serve ${line} is refused with a sentence`, () => {
    assert.throws(() => parseServe(line, environment), (error) => {
      assert.ok(error instanceof ExitError);
      assert.equal(error.message, message);
      assert.equal(error.reason, "usage");
      return true;
    });
  });
}

Deno.test("inspect refuses a missing file, a second one, and a value for --json that is none", () => {
  const parse = (...args: string[]) => parseOptions(args, INSPECT_FLAGS, {}, ["model"]);
  assert.throws(() => parse(), { message: /^MODEL is missing: .* set EBB_MODEL$/ });
  assert.throws(() => parse("a", "b"), { message: /^Unexpected argument "b"/ });
  assert.throws(() => parse("a", "--json=maybe"), { message: '--json must be true or false, not "maybe"' });
});

Deno.test("Help is asked for by a flag of its own, not by a value", () => {
  assert.ok(asksForHelp(["--help"], SERVE_FLAGS));
  assert.ok(asksForHelp(["--model", "m", "-h"], SERVE_FLAGS));
  assert.ok(!asksForHelp(["--prompt=--help"], GENERATE_FLAGS));
  assert.ok(!asksForHelp(["--model", "help"], SERVE_FLAGS));
});

Deno.test("A near miss is close in letters; anything else has no suggestion", () => {
  const flags = ["--port", "--policy", "--model"];
  assert.equal(nearest("--modle", flags), "--model");
  assert.equal(nearest("--por", flags), "--port");
  assert.equal(nearest("--x", flags), undefined);
  assert.equal(nearest("--temperature", flags), undefined);
});
