import assert from "node:assert/strict";
import { configText, readConfigFile } from "../../src/cli/config_file.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { SERVE_FLAGS } from "../../src/cli/flags/serving.ts";
import { parseOptions } from "../../src/cli/parse_options.ts";
import { withFile } from "../support/files.ts";
import { runMain } from "../support/server.ts";

const parse = (args: readonly string[], environment: Record<string, string> = {}) =>
  parseOptions(args, SERVE_FLAGS, environment);

Deno.test("the command line wins over the environment, the environment over the file, the file over defaults", async () => {
  const content =
    '{"port": 1, "max-batch": 2, "max-queue": 3, "allowed-hosts": ["a.example", "b.example"], "policy": null}';
  await withFile(content, (path) => {
    const environment = { EBB_PORT: "11", EBB_MAX_BATCH: "12", EBB_CONFIG: path };
    const { port, maxBatch, maxQueue, allowedHosts, policy } = parse(["--port", "21"], environment);
    assert.deepEqual([port, maxBatch, maxQueue, policy], [21, 12, 3, "dynamickv"]);
    assert.deepEqual(allowedHosts, ["a.example", "b.example"]);
    assert.equal(parse(["--config", path]).maxBatch, 2);
    return Promise.resolve();
  });
});

for (
  const [content, words] of [
    ["{", /--config FILE cannot be read: .*JSON/],
    ["# Ebb\n\nis no JSON", /^--config FILE cannot be read: [^\n]*JSON$/],
    ["[]", /--config FILE must hold a JSON object/],
    ['{"max-bach": 1}', /FILE has an unknown option "max-bach": did you mean "max-batch"\?/],
    ['{"maxBatch": 1}', /unknown option "maxBatch"/],
    ['{"config": "x"}', /unknown option "config"/],
    ['{"max-batch": 0}', /"max-batch" in FILE must be a whole number from 1 to 1024, not "0"/],
    ['{"kv-memory": {}}', /"kv-memory" in FILE must be a list, with commas, each entry a size/],
  ] as const
) {
  Deno.test(`a file of options is refused by name: ${content}`, async () => {
    await withFile(content, (path) => {
      assert.throws(
        () => parse(["--config", path]),
        (error: Error) => error instanceof ExitError && words.test(error.message.replaceAll(path, "FILE")),
      );
      return Promise.resolve();
    });
  });
}

Deno.test("a file of options that is not there is named", () => {
  assert.throws(() => parse(["--config", "/nowhere.json"]), /--config \/nowhere.json cannot be read/);
});

Deno.test("what --print-config prints is a file with the same options, but for keys", async () => {
  const args = [
    "--model",
    "m.gguf",
    "--kv-memory",
    "2G",
    "--allowed-hosts",
    "a,b",
    "--kv-budget",
    "6.9%",
    "--api-key",
    "sk",
  ];
  const { code, stdout } = await runMain("serve", "--print-config", ...args);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout)["api-key"], "***");
  assert.doesNotMatch(stdout, /sk/);
  const given = readConfigFile("x", SERVE_FLAGS, () => stdout);
  const environment = Object.fromEntries([...given].map(([option, { text }]) => [option, text]));
  const again = parse(
    Object.entries(environment).flatMap((
      [option, text],
    ) => [`--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}=${text}`]),
  );
  assert.deepEqual(again, { ...parse(args), apiKey: "***" });
  assert.equal(configText(again, SERVE_FLAGS), stdout.trim());
});
