/**
 * @file Writes tests/golden/llama_cpp.json: what llama.cpp itself makes of the test models. For each model, 16 greedy
 * tokens after its prompt, and for each of them the five most probable tokens with their log-probabilities (`top`).
 *
 *     mkdir -p /tmp/golden && cd /tmp/golden
 *     npm install --ignore-scripts --omit=optional node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1
 *     cd -
 *     deno run -A tools/golden/write_models.ts /tmp/golden/models
 *     node tools/golden/llama_cpp.mjs /tmp/golden
 *
 * The second package is the binary for one platform; left to itself, npm fetches those for every GPU, 600 MB.
 *
 * llama.cpp runs on the CPU without flash attention, its KV cache in half precision. Its arithmetic is coarser than its
 * files: with that cache it also rounds queries and attention probabilities to half precision, it multiplies F16 and BF16
 * weights with activations rounded to those types, and quantised weights with activations of 8 bits. So for F32 files the
 * log-probabilities of the same tokens are taken once more with a cache in single precision (`topF32Cache`), where only
 * f32 rounding is left.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const STEPS = 16;
const CANDIDATES = 5;

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error("Usage: node tools/golden/llama_cpp.mjs DIRECTORY, which holds node_modules and models");
  process.exit(2);
}
const packageDirectory = join(directory, "node_modules", "node-llama-cpp");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(packageDirectory, "dist", "index.js")).href);
const { version } = JSON.parse(await readFile(join(packageDirectory, "package.json"), "utf8"));

const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error });
const models = JSON.parse(await readFile(join(directory, "models", "models.json"), "utf8"));
const results = {};
for (const [name, { file, sha256, prompt, f32 }] of Object.entries(models)) {
  const modelPath = join(directory, "models", file);
  const { tokens, top } = await run(modelPath, prompt, "F16");
  results[name] = { sha256, prompt, tokens, top };
  if (f32) results[name].topF32Cache = (await run(modelPath, prompt, "F32", tokens)).top;
  console.log(`${name}: ${tokens.join(" ")}, closest call ${closestCall(top).toFixed(3)}`);
}

const path = new URL("../../tests/golden/llama_cpp.json", import.meta.url);
const entries = Object.entries(results).map(([name, result]) => `${JSON.stringify(name)}: ${JSON.stringify(result)}`);
const source = `llama.cpp ${llama.llamaCppRelease.release} in node-llama-cpp ${version}, CPU`;
await writeFile(path, `{"source": ${JSON.stringify(source)}, "models": {\n${entries.join(",\n")}\n}}\n`);
process.exit(0);

/**
 * Continues the prompt with the given tokens, or greedily.
 *
 * @returns {Promise<{tokens: number[], top: [token: number, logProbability: number][][]}>}
 */
async function run(modelPath, prompt, cacheType, given) {
  const model = await llama.loadModel({ modelPath, useMmap: false });
  const context = await model.createContext({
    contextSize: 128,
    batchSize: 128,
    flashAttention: false,
    threads: 1,
    experimentalKvCacheKeyType: cacheType,
    experimentalKvCacheValueType: cacheType,
  });
  const sequence = context.getSequence();
  const tokens = [];
  const top = [];
  let input = prompt;
  for (let step = 0; step < STEPS; step++) {
    const last = [input.at(-1), { generateNext: { logits: true } }];
    const { next } = (await sequence.controlledEvaluate([...input.slice(0, -1), last])).at(-1);
    const logits = [...next.logits].sort(([, a], [, b]) => b - a);
    const total = logits.reduce((sum, [, logit]) => sum + Math.exp(logit - logits[0][1]), 0);
    const logProbability = (logit) => logit - logits[0][1] - Math.log(total);
    top.push(logits.slice(0, CANDIDATES).map(([token, logit]) => [token, Number(logProbability(logit).toFixed(5))]));
    tokens.push(given?.[step] ?? logits[0][0]);
    input = [tokens.at(-1)];
  }
  await model.dispose();
  return { tokens, top };
}

/** The smallest lead of a most probable token over the next: how much error greedy decoding forgives. */
function closestCall(top) {
  return Math.min(...top.map(([first, second]) => first[1] - second[1]));
}
