/**
 * @file transformers.js on the CPU, with onnxruntime's native code: `node transformers_js.mjs DIRECTORY MODEL THREADS CONTEXT`.
 *
 * DIRECTORY holds node_modules with @huggingface/transformers (`npm install --ignore-scripts`: its script fetches what GPUs need) and, in a folder with the model's name, what onnx_export.py made of it.
 * Lines go in and out as in llama_cpp.mjs.
 */
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [directory, modelPath, threads] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const promptOf = (length, stream) => Array.from({ length }, (_, i) => 5 + (i * 7919 + stream * 31) % 250);

const home = join(directory, "node_modules", "@huggingface", "transformers");
const { version, exports } = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
const module = pathToFileURL(join(home, exports.node.import.default)).href;
const { AutoModelForCausalLM, BaseStreamer, env, Tensor } = await import(module);
env.allowRemoteModels = false;
env.localModelPath = directory;
const model = await AutoModelForCausalLM.from_pretrained(basename(modelPath, ".gguf"), {
  device: "cpu",
  dtype: "q8",
  session_options: { intraOpNumThreads: Number(threads), interOpNumThreads: 1 },
});
say({ version, memory: process.memoryUsage().rss });

/** Notes when the first tokens behind the prompts come. */
class Firsts extends BaseStreamer {
  calls = 0;
  at = 0;
  put() {
    // The prompts come first.
    if (++this.calls === 2) this.at = performance.now();
  }
  end() {}
}

for await (const line of createInterface({ input: process.stdin })) {
  const { prompt, streams, tokens } = JSON.parse(line);
  const ids = Array.from({ length: streams }, (_, stream) => promptOf(prompt, stream)).flat();
  const tensor = (values) => new Tensor("int64", BigInt64Array.from(values, BigInt), [streams, prompt]);
  const streamer = new Firsts();
  const start = performance.now();
  const result = await model.generate({
    inputs: tensor(ids),
    attention_mask: tensor(ids.map(() => 1)),
    max_new_tokens: tokens,
    do_sample: false,
    streamer,
  });
  if (result.dims[1] !== prompt + tokens) {
    throw new Error(`transformers.js made ${result.dims[1] - prompt} tokens of ${tokens}`);
  }
  say({ first: (streamer.at - start) / 1000, rest: (performance.now() - streamer.at) / 1000 });
}
process.exit(0);
