/**
 * @file Makes the embedded model, from nothing to GGUF: tokenizer, token shards, training, export, loss curve.
 *
 * What is already in the folder of `--work` is kept, so that a run that was stopped goes on where it was.
 */
import { readArguments, runProgram } from "../../fixtures/program.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { RECIPES } from "./recipes.ts";

const HERE = new URL(".", import.meta.url).pathname;
const MODELS = new URL("../../models/", import.meta.url).pathname;

const USAGE =
  `Usage: deno run -A tools/train/main.ts --work FOLDER [--recipe ${
    Object.keys(RECIPES).join("|")
  }] [--prose FILE ...] ` +
  "[--python python3]";

/** Runs a program to its end, its output going to `stdout` where one is given. */
async function run(command: string, args: readonly string[], stdout?: string): Promise<void> {
  const process = new Deno.Command(command, { args: [...args], stdout: stdout === undefined ? "inherit" : "piped" })
    .spawn();
  if (stdout !== undefined) await Deno.writeFile(stdout, process.stdout);
  const { success, code } = await process.status;
  if (!success) throw new Error(`${command} ${args.slice(0, 3).join(" ")} ended with code ${code}`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function main(args: string[]): Promise<void> {
  const { values } = readArguments({
    args,
    options: {
      recipe: { type: "string", default: "cpu" },
      work: { type: "string" },
      prose: { type: "string", multiple: true, default: [] },
      python: { type: "string", default: "python3" },
    },
  });
  const { work, prose, python } = values;
  if (work === undefined) {
    throw new ExitError("usage", "--work is missing: name a folder for tokenizer, shards and checkpoints");
  }
  const recipe = RECIPES[values.recipe];
  if (recipe === undefined) {
    throw new ExitError("usage", `--recipe ${values.recipe} is unknown: expected ${Object.keys(RECIPES).join(" or ")}`);
  }

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
}

await runProgram(USAGE, main);
