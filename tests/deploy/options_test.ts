/** @file Whatever deploy/ starts Ebb with, Ebb knows: flags and variables have values that `serve` takes, paths are there. */
import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { SERVE_FLAGS } from "../../src/cli/flags/serving.ts";
import { environmentName, flagName } from "../../src/cli/option_names.ts";
import { EXIT_CODES } from "../../src/cli/exit_codes.ts";
import { parseOptions } from "../../src/cli/parse_options.ts";

const DEPLOY = new URL("../../deploy/", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, DEPLOY));

/** Where models are kept is no flag. */
const VARIABLES = new Set([...Object.keys(SERVE_FLAGS).map(environmentName), "EBB_CACHE"]);
/** HAProxy's own configuration has variables of its own. */
const FOREIGN = /^haproxy\//;

Deno.test("every variable and flag in deploy/ is one of serve's", async () => {
  const paths = (await Array.fromAsync(glob("**/*.*", { cwd: fileURLToPath(DEPLOY) }))).concat(
    "container/Containerfile",
  );
  const flags = new Set(Object.keys(SERVE_FLAGS).map(flagName));
  let found = 0;
  for (const path of paths.filter((path) => !FOREIGN.test(path))) {
    const text = await read(path);
    for (const [variable] of text.matchAll(/\bEBB_[A-Z_]+/g)) {
      assert.ok(VARIABLES.has(variable), `${path}: ${variable} is no variable of serve`);
      found++;
    }
    for (const [, rest] of text.matchAll(/\bserve((?: --[a-z-]+(?: [^-\s`]\S*)?)+)/g)) {
      for (const [flag] of rest.matchAll(/--[a-z-]+/g)) assert.ok(flags.has(flag), `${path}: serve has no ${flag}`);
    }
  }
  assert.ok(found > 10);
});

Deno.test("serve takes the variables of the image, of Compose, of the pods and of the unit", async () => {
  const image = Object.fromEntries(
    [...(await read("container/Containerfile")).matchAll(/(EBB_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
  );
  const compose = parse(await read("container/compose.yaml")).services.ebb.environment;
  const empty = Object.fromEntries(Object.keys(compose).map((name) => [name, ""]));
  const literals = parse(await read("kubernetes/base/kustomization.yaml")).configMapGenerator[0].literals as string[];
  const pods = Object.fromEntries(literals.map((literal) => literal.split("=")));
  const chart = parse(await read("helm/values.yaml")).environment;
  const component = Object.fromEntries([["EBB_DEVICE", "gpu"]]);
  for (
    const environment of [image, { ...image, ...empty }, { ...image, ...pods, ...component }, { ...image, ...chart }]
  ) {
    const { host, port } = parseOptions([], SERVE_FLAGS, environment);
    assert.deepEqual([host, port], ["0.0.0.0", 8000]);
  }
  assert.deepEqual(parseOptions([], SERVE_FLAGS, chart).allowedHosts, ["*"]);
});

Deno.test("image and unit run main.ts with the permissions of deno task start, but for installing drivers, and may write models", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", DEPLOY)));
  const permissions = (command: string) => command.split(" ").filter((word) => word.startsWith("--allow-"));
  const wanted = permissions(tasks.start.command).filter((permission) => !/^--allow-(run|write)/.test(permission));
  const entry: string[] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(await read("container/Containerfile"))![1]);
  const [, start] = /^ExecStart=(.*)$/m.exec(await read("systemd/ebb.service"))!;
  for (const words of [[...entry, "serve"], start.split(" ")]) {
    assert.deepEqual(words.slice(-2), ["main.ts", "serve"]);
    const given = permissions(words.join(" "));
    assert.deepEqual(given.filter((permission) => !permission.startsWith("--allow-write")).sort(), wanted.sort());
    assert.match(given.join(" "), /--allow-write=\/(models|var\/lib\/ebb),/);
  }
});

Deno.test("the unit does not start again what would end the same way, and waits for the drain", async () => {
  const unit = await read("systemd/ebb.service");
  const [, codes] = /^RestartPreventExitStatus=(.*)$/m.exec(unit)!;
  const { usage, modelUnusable, pluginUnusable } = EXIT_CODES;
  assert.deepEqual(codes.split(" ").map(Number), [usage, modelUnusable, pluginUnusable].map(({ code }) => code));
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]) > 30);
});
