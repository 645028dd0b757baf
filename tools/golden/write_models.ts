/**
 * @file Writes the models of fixtures/golden_models.ts into a directory, for llama_cpp.mjs to run:
 *
 *     deno run -A tools/golden/write_models.ts DIRECTORY
 *
 * `models.json` in it lists them: `{name: {file, sha256, prompt, f32}}`, the last saying whether all weights are F32. The
 * trained stories260K is added where it is found. `embeddings/` gets those for embeddings.mjs, one file a model.
 */

import { readFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import {
  EMBEDDING_MODELS,
  GOLDEN_MODELS,
  GOLDEN_PROMPT,
  STORIES_MODEL,
  STORIES_PROMPT,
} from "../../fixtures/golden_models.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";

const [directory] = Deno.args;
if (directory === undefined) {
  console.error("Usage: deno run -A tools/golden/write_models.ts DIRECTORY");
  Deno.exit(2);
}
await Deno.mkdir(directory, { recursive: true });

const models: Record<string, { file: string; sha256: string; prompt: readonly number[]; f32: boolean }> = {};
const write = async (name: string, bytes: Uint8Array, prompt: readonly number[], f32: boolean) => {
  const file = `${name.replaceAll(" ", "_")}.gguf`;
  await Deno.writeFile(`${directory}/${file}`, bytes);
  models[name] = { file, sha256: createHash("sha256").update(bytes).digest("hex"), prompt, f32 };
};
for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
  await write(name, tinyGguf(options), GOLDEN_PROMPT, options.type === undefined);
}
try {
  await write("stories260K", await readFile(STORIES_MODEL), STORIES_PROMPT, true);
} catch (error) {
  console.error(`Left out stories260K: ${(error as Error).message}`);
}
await Deno.writeTextFile(`${directory}/models.json`, JSON.stringify(models));
await Deno.mkdir(`${directory}/embeddings`, { recursive: true });
for (const [name, options] of Object.entries(EMBEDDING_MODELS)) {
  await Deno.writeFile(`${directory}/embeddings/${name}.gguf`, tinyGguf(options));
}
await Deno.writeTextFile(`${directory}/embeddings/prompt.json`, JSON.stringify(GOLDEN_PROMPT));
console.log(`Wrote ${Object.keys(models).length} models to ${directory}`);
