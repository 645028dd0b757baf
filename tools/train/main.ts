/**
 * @file Makes the embedded model, from nothing to GGUF: tokenizer, token shards, training, export, loss curve.
 *
 * `deno run -A tools/train/main.ts --recipe cpu|gpu --work DIR --prose FILE... [--python python3]`
 *
 * What is already in DIR is kept, so that a run that was stopped goes on where it was.
 */
import { parseArgs } from "node:util";
import { RECIPES } from "./recipes.ts";

const HERE = new URL(".", import.meta.url).pathname;
const MODELS = new URL("../../models/", import.meta.url).pathname;

function fail(message: string, code = 1): never {
  console.error(message);
  Deno.exit(code);
}

/** Runs a program to its end, its output going to `stdout` where one is given. */
async function run(command: string, args: readonly string[], stdout?: string): Promise<void> {
  const process = new Deno.Command(command, { args: [...args], stdout: stdout === undefined ? "inherit" : "piped" })
    .spawn();
  if (stdout !== undefined) await Deno.writeFile(stdout, process.stdout);
  const { success, code } = await process.status;
  if (!success) fail(`${command} ${args.slice(0, 3).join(" ")} ended with code ${code}`, code);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

const { values } = parseArgs({
  options: {
    recipe: { type: "string", default: "cpu" },
    work: { type: "string" },
    prose: { type: "string", multiple: true, default: [] },
    python: { type: "string", default: "python3" },
  },
});
const { work, prose, python } = values;
if (work === undefined) fail("--work is missing: name a folder for tokenizer, shards and checkpoints");
const recipe = RECIPES[values.recipe];
if (recipe === undefined) fail(`--recipe ${values.recipe} is unknown: expected ${Object.keys(RECIPES).join(" or ")}`);

const deno = Deno.execPath();
await Deno.mkdir(`${work}/shards`, { recursive: true });
const tokenizer = `${work}/tokenizer.json`;
if (!await exists(tokenizer)) await run(deno, ["run", "-A", `${HERE}tokenizer.ts`, ...prose], tokenizer);
const shards = [...new Set(recipe.stages.flatMap(({ shards }) => shards))];
for (const [i, { name, length, rows, repeats, prose: proseShare }] of shards.entries()) {
  const shard = `${work}/shards/${name}`;
  if (await exists(`${shard}.kinds`)) continue;
  const numbers = [length, rows, i + 1, repeats, proseShare].map(String);
  await run(deno, ["run", "-A", `${HERE}write_shard.ts`, tokenizer, shard, ...numbers, ...prose]);
}
await run(python, [
  `${HERE}train.py`,
  ...["--work", work, "--config", recipe.config, "--batch-tokens", String(recipe.batchTokens)],
  ...["--decay-steps", String(recipe.decaySteps), "--threads", String(recipe.threads)],
  "--stages",
  ...recipe.stages.map(({ steps, shards }) =>
    `${steps}=${shards.map(({ name, length }) => `${name}:${length}`).join(",")}`
  ),
]);
await run(python, [`${HERE}dump_weights.py`, `${work}/checkpoint.pt`, `${work}/weights`]);
await run(deno, ["run", "-A", `${HERE}export.ts`, tokenizer, `${work}/weights`, `${MODELS}ebb-mini.gguf`]);
await run(deno, ["run", "-A", `${HERE}loss_curve.ts`, `${work}/log.csv`, `${MODELS}ebb-mini-loss.svg`]);
