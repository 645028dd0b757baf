/**
 * @file llama.cpp on the CPU, through node-llama-cpp: `node llama_cpp.mjs DIRECTORY MODEL THREADS CONTEXT`.
 *
 * DIRECTORY holds node_modules with node-llama-cpp and its binary for the CPU. A case of contender.ts on each line of standard
 * input, its timing on a line of standard output; first of all a line when the model is loaded.
 */
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [directory, modelPath, threads, contextSize] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const promptOf = (length, stream) => Array.from({ length }, (_, i) => 5 + (i * 7919 + stream * 31) % 250);

const module = join(directory, "node_modules", "node-llama-cpp", "dist", "index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(module).href);
const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });
say({ version: llama.llamaCppRelease?.release ?? "unknown", memory: process.memoryUsage().rss });

for await (const line of createInterface({ input: process.stdin })) {
  const { prompt, streams, tokens } = JSON.parse(line);
  const context = await model.createContext({
    contextSize: Math.min(Number(contextSize), prompt + tokens + 16),
    sequences: streams,
    batchSize: 512,
    threads: Number(threads),
    flashAttention: true,
  });
  const sequences = Array.from({ length: streams }, () => context.getSequence());
  const start = performance.now();
  const firsts = [];
  await Promise.all(sequences.map(async (sequence, stream) => {
    let drawn = 0;
    const options = { temperature: 0, yieldEogToken: true };
    for await (const _ of sequence.evaluate(promptOf(prompt, stream), options)) {
      if (drawn === 0) firsts.push(performance.now());
      if (++drawn === tokens) break;
    }
  }));
  const first = Math.max(...firsts);
  say({ first: (first - start) / 1000, rest: (performance.now() - first) / 1000 });
  await context.dispose();
}
process.exit(0);
