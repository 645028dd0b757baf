/**
 * @file Writes tests/golden/embeddings.json: the vectors that llama.cpp itself makes of the golden prompt with generating models,
 * before they are scaled to length 1. Set-up as for llama_cpp.mjs:
 *
 *     deno run -A tools/golden/write_models.ts /tmp/golden/models
 *     node tools/golden/embeddings.mjs /tmp/golden
 *
 * What its embedding context does is done by hand here, so that the cache is in single precision and the tokens are those given.
 */

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error("Usage: node tools/golden/embeddings.mjs DIRECTORY, which holds node_modules and models");
  process.exit(2);
}
const packageDirectory = join(directory, "node_modules", "node-llama-cpp");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(packageDirectory, "dist", "index.js")).href);
const { version } = JSON.parse(await readFile(join(packageDirectory, "package.json"), "utf8"));

const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error });
const models = join(directory, "models", "embeddings");
const prompt = JSON.parse(await readFile(join(models, "prompt.json"), "utf8"));
const vectors = {};
for (const file of (await readdir(models)).filter((name) => name.endsWith(".gguf")).sort()) {
  const model = await llama.loadModel({ modelPath: join(models, file), useMmap: false });
  const context = await model.createContext({
    contextSize: 128,
    batchSize: 128,
    flashAttention: false,
    threads: 1,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
    _embeddings: true,
  });
  for await (const _ of context.getSequence().evaluate(prompt, { _noSampling: true })) break;
  const vector = Array.from(context._ctx.getEmbedding(prompt.length), (value) => Number(value.toFixed(6)));
  vectors[file.replace(".gguf", "")] = vector;
  console.log(`${file}: ${vector.slice(0, 4).join(" ")} ..., length ${Math.hypot(...vector).toFixed(4)}`);
  await model.dispose();
}

const path = new URL("../../tests/golden/embeddings.json", import.meta.url);
const entries = Object.entries(vectors).map(([name, vector]) => `${JSON.stringify(name)}: ${JSON.stringify(vector)}`);
const source = `llama.cpp ${llama.llamaCppRelease.release} in node-llama-cpp ${version}, CPU`;
await writeFile(path, `{"source": ${JSON.stringify(source)}, "vectors": {\n${entries.join(",\n")}\n}}\n`);
process.exit(0);
