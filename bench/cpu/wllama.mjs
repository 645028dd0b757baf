/**
 * @file llama.cpp as WebAssembly, through wllama: `deno run -A --location http://localhost/ wllama.mjs DIRECTORY MODEL THREADS CONTEXT`.
 *
 * DIRECTORY holds node_modules with @wllama/wllama. Lines go in and out as in llama_cpp.mjs. It is made for pages: what Deno lacks of
 * one is made up for here.
 */
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [directory, modelPath, threads, contextSize] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
// It takes text alone. Each of these is a token, with the space before it.
const WORDS = ["the", "of", "and", "to", "in", "is", "that", "it", "was", "for"];
const promptOf = (length, stream) =>
  Array.from({ length }, (_, i) => ` ${WORDS[(i * 7919 + stream * 31) % WORDS.length]}`).join("");
const MOST_STREAMS = 8;
/** Tokens of one of several streams, at most. */
const STREAM_TOKENS = 128;

// Its workers' code would take Deno for Node, and asks for workers that are no modules.
const PAGE = `globalThis.process = undefined;
{
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(url, { name } = {}) {
      super(url, { name, type: "module" });
    }
  };
}
`;
const PlainBlob = globalThis.Blob;
globalThis.Blob = class extends PlainBlob {
  constructor(parts, options) {
    super(options?.type === "text/javascript" ? [PAGE, ...parts] : parts, options);
  }
};

const home = join(directory, "node_modules", "@wllama", "wllama");
const { Wllama } = await import(pathToFileURL(join(home, "esm", "index.js")).href);
const { version } = JSON.parse(await Deno.readTextFile(join(home, "package.json")));
const wasm = await Deno.readFile(join(home, "esm", "wasm", "wllama.wasm"));
const silent = { debug() {}, log() {}, warn: console.error, error: console.error };
const engine = new Wllama(
  { default: URL.createObjectURL(new PlainBlob([wasm], { type: "application/wasm" })) },
  // Of the browser's storage nothing is used.
  { logger: silent, suppressNativeLog: true, cacheManager: {}, modelManager: {} },
);
await engine.loadModel([new PlainBlob([await Deno.readFile(modelPath)])], {
  n_threads: Number(threads),
  n_ctx: Number(contextSize) + MOST_STREAMS * STREAM_TOKENS,
  n_batch: 512,
  n_parallel: MOST_STREAMS,
  n_gpu_layers: 0,
  flash_attn: true,
});
if (engine.getNumThreads() !== Number(threads)) throw new Error(`wllama runs on ${engine.getNumThreads()} threads`);
// Two calls at a time read each other's results.
const { proxy } = engine;
const call = proxy.wllamaAction.bind(proxy);
let last = Promise.resolve();
proxy.wllamaAction = (...action) => last = last.then(() => call(...action));
const SAMPLE = 16;
const { timings } = await engine.createCompletion({ prompt: promptOf(SAMPLE, 0), max_tokens: 1 });
/** Tokens that a tokenizer puts in front. */
const before = timings.prompt_n - SAMPLE;
say({ version, memory: process.memoryUsage().rss });

for await (const line of createInterface({ input: process.stdin })) {
  const { prompt, streams, tokens } = JSON.parse(line);
  const start = performance.now();
  const firsts = [];
  await Promise.all(Array.from({ length: streams }, async (_, stream) => {
    const answer = await engine.createCompletion({
      prompt: promptOf(prompt - before, stream),
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
      stream: true,
    });
    let isFirst = true;
    for await (const { timings } of answer) {
      if (isFirst) firsts.push(performance.now());
      isFirst = false;
      if (timings && timings.prompt_n !== prompt) {
        throw new Error(`wllama read ${timings.prompt_n} tokens of ${prompt}`);
      }
    }
  }));
  const first = Math.max(...firsts);
  say({ first: (first - start) / 1000, rest: (performance.now() - first) / 1000 });
}
process.exit(0);
