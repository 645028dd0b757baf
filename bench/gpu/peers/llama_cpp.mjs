/**
 * @file llama.cpp on the same model file, through node-llama-cpp: `node llama_cpp.mjs DIRECTORY '{"model": ...}'`.
 *
 * DIRECTORY holds node_modules with node-llama-cpp and the binaries for a GPU (@node-llama-cpp/linux-x64-vulkan or -cuda).
 * A line of JSON on standard output for every measurement. Plain JavaScript, for node as well as deno.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const [directory, json] = process.argv.slice(2);
const task = JSON.parse(json);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const begun = performance.now();
const remaining = () => task.seconds - (performance.now() - begun) / 1000;

// Ends with the process that started it.
process.stdin.on("end", () => process.exit(1)).on("error", () => {}).resume();
process.stdin.unref?.();

const packageDirectory = join(directory, "node_modules", "node-llama-cpp");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(packageDirectory, "dist", "index.js")).href);
const { version } = JSON.parse(readFileSync(join(packageDirectory, "package.json"), "utf8"));

const llama = await firstThatStarts(task.cpu ? [false] : ["cuda", "vulkan"]);
say({
  versions: {
    "node-llama-cpp": version,
    "llama.cpp": llama.llamaCppRelease?.release ?? "unknown",
    backend: String(llama.gpu),
    devices: (await llama.getGpuDeviceNames()).join(", "),
  },
});
const model = await llama.loadModel({ modelPath: task.model, gpuLayers: "max" });
const promptOf = (length) => Array.from({ length }, (_, i) => 3 + i * 7919 % (task.vocabulary - 3));

for (const promptTokens of task.prompts) {
  if (remaining() < 5) break;
  const context = await model.createContext({ contextSize: promptTokens + 16, batchSize: 512, flashAttention: true });
  const sequence = context.getSequence();
  if (promptTokens === task.prompts[0]) await fill(sequence, promptOf(Math.min(64, promptTokens)));
  await sequence.clearHistory();
  const seconds = await timed(() => fill(sequence, promptOf(promptTokens)));
  say({
    run: {
      mode: String(llama.gpu),
      kind: "prefill",
      streams: 1,
      promptTokens,
      tokensPerSecond: promptTokens / seconds,
    },
  });
  await context.dispose();
}
for (const promptTokens of task.decodePrompts) {
  for (const streams of task.streams) {
    if (remaining() < 5) break;
    const context = await model.createContext({
      contextSize: promptTokens + task.decodeTokens + 16,
      sequences: streams,
      batchSize: Math.max(512, streams),
      flashAttention: true,
    });
    const sequences = Array.from({ length: streams }, () => context.getSequence());
    for (const sequence of sequences) {
      if (remaining() < 5) process.exit(0);
      await fill(sequence, promptOf(promptTokens));
    }
    const seconds = await timed(() => Promise.all(sequences.map((sequence) => draw(sequence, task.decodeTokens))));
    const tokensPerSecond = streams * task.decodeTokens / seconds;
    say({ run: { mode: String(llama.gpu), kind: "decode", streams, promptTokens, tokensPerSecond } });
    await context.dispose();
  }
}
process.exit(0);

async function firstThatStarts(backends) {
  const reasons = [];
  for (const gpu of backends) {
    try {
      return await getLlama({ gpu, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error });
    } catch (error) {
      reasons.push(`${gpu}: ${error.message}`);
    }
  }
  throw new Error(`No backend starts: ${reasons.join("; ")}`);
}

async function timed(action) {
  const start = performance.now();
  await action();
  return (performance.now() - start) / 1000;
}

/** Reads a prompt into the cache: the logits of its last token are computed, as for a first token. */
async function fill(sequence, tokens) {
  await sequence.controlledEvaluate([...tokens.slice(0, -1), [tokens.at(-1), { generateNext: { token: true } }]]);
}

/** Draws greedily, token after token. */
async function draw(sequence, count) {
  let drawn = 0;
  for await (const _ of sequence.evaluate([5], { temperature: 0, yieldEogToken: true })) {
    if (++drawn === count) break;
  }
}
