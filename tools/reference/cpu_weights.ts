/**
 * @file How far weights of 8 bits move the probabilities of the CPU engine, all together and each kind of matrix by itself.
 *
 *     deno run -A tools/reference/cpu_weights.ts MODEL TEXT_FILE
 *
 * The kinds are rounded as `--cpu-weights int8` rounds them, one after the other, and multiplied in f32. Divergences are of the
 * probabilities of the next token from those of f32, in nats.
 */
import { request } from "../../tests/support/engine.ts";
import { type CpuModel, loadCpuModel, runOnCpu } from "../../tests/support/cpu.ts";
import type { ModelConfig } from "../../src/architecture/config.ts";
import { openModel } from "../../src/formats/open.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { divergence, likeliest } from "../../src/eval/answerers/divergence.ts";
import { LARGEST_GROUP } from "../../src/cpu/kernels/int8_product.ts";
import { QUERY_KEY_VALUE_GROUP } from "../../src/cpu/products/int8_weights.ts";
import type { F32Products } from "../../src/cpu/products/f32_products.ts";
import type { F32Weight, F32Weights } from "../../src/cpu/products/f32_weights.ts";

const CONTEXT = 256;
const TOKENS = 128;

/** The inputs of a kind's matrices, and the matrices. */
type Kind = readonly [inputs: (config: ModelConfig) => number, matrices: (weights: F32Weights) => readonly F32Weight[]];

const QUERY_KEY_VALUE = "query, key, value";
const KINDS: Readonly<Record<string, Kind>> = {
  [QUERY_KEY_VALUE]: [
    ({ hiddenSize }) => hiddenSize,
    ({ layers }) => layers.map(({ queryKeyValue }) => queryKeyValue),
  ],
  "attention output": [
    ({ queryHeadCount, headSize }) => queryHeadCount * headSize,
    ({ layers }) => layers.map(({ output }) => output),
  ],
  "gate and up": [
    ({ hiddenSize }) => hiddenSize,
    ({ layers }) => layers.flatMap(({ gateUp: { gate, up } }) => [gate, up]),
  ],
  "down": [({ feedForwardSize }) => feedForwardSize, ({ layers }) => layers.map(({ down }) => down)],
  "embedding and logits": [
    ({ hiddenSize }) => hiddenSize,
    ({ embedding, output }) => [...new Set([embedding, output])],
  ],
};

const [path, textPath] = Deno.args;
if (textPath === undefined) {
  console.error("Usage: deno run -A tools/reference/cpu_weights.ts MODEL TEXT_FILE");
  Deno.exit(2);
}
const text = await tokensOf(path, await Deno.readTextFile(textPath));
const load = (weights: "f32" | "int8") =>
  loadCpuModel(path, { weights, contextLength: CONTEXT, maxBatch: 1, kvMemory: 2 ** 27 });

const exactModel = await load("f32");
const exact = await logitsOf(exactModel);
report("all, as the engine computes", await logitsOf(await load("int8")));
const { weights, config } = exactModel.forward.products as F32Products;
for (const [kind, [inputs, matrices]] of Object.entries(KINDS)) {
  const values = matrices(weights).map(({ floats }) => floats.values);
  const kept = values.map((own) => own.slice());
  for (const own of values) {
    round(own, inputs(config), kind === QUERY_KEY_VALUE ? QUERY_KEY_VALUE_GROUP : LARGEST_GROUP);
  }
  report(kind, await logitsOf(exactModel));
  values.forEach((own, i) => own.set(kept[i]));
}
Deno.exit(0);

async function tokensOf(path: string, text: string): Promise<Uint32Array> {
  const file = await openModel(path);
  try {
    const tokens = (await loadTokenizer(file)).encode(text).slice(0, TOKENS);
    if (tokens.length < TOKENS) throw new RangeError(`The text has ${tokens.length} tokens: expected ${TOKENS}`);
    return Uint32Array.from(tokens);
  } finally {
    file.close();
  }
}

/** Of every token of the text but the first two. */
async function logitsOf(model: CpuModel): Promise<Float32Array[]> {
  const continuation = { tokens: text.subarray(1), logitsFrom: 1 };
  const { events: [events] } = await runOnCpu(model, [request(text.subarray(0, 1), { maxTokens: 0, continuation })]);
  return events.flatMap((event) => event.type === "logits" ? event.logits : []);
}

function report(kind: string, logits: readonly Float32Array[]): void {
  const divergences = logits.map((own, i) => divergence(exact[i], own));
  const mean = divergences.reduce((sum, one) => sum + one, 0) / logits.length;
  const same = logits.filter((own, i) => likeliest(own) === likeliest(exact[i])).length / logits.length;
  console.log(
    `${kind}: mean ${mean.toPrecision(2)}, largest ${Math.max(...divergences).toPrecision(2)}, same likeliest token ${
      Math.round(100 * same)
    } %, ${logits.length} tokens`,
  );
}

/** Rounds a matrix `[inputs][outputs]` to 127 steps on either side of 0: each output, and each group of its inputs, by its own scale. */
function round(values: Float32Array, inputs: number, group: number): void {
  const outputs = values.length / inputs;
  for (let first = 0; first < inputs; first += group) {
    const part = values.subarray(first * outputs, Math.min(first + group, inputs) * outputs);
    const largest = new Float32Array(outputs);
    part.forEach((value, i) => largest[i % outputs] = Math.max(largest[i % outputs], Math.abs(value)));
    part.forEach((value, i) => {
      const scale = largest[i % outputs] / 127;
      if (scale > 0) part[i] = Math.round(value / scale) * scale;
    });
  }
}
