/**
 * @file Writes tests/golden/k_quantisation.json: the blocks of Q4_K, Q5_K and Q6_K that llama.cpp's own library makes of some
 * floats. The Python package of quantisation.py does not quantise to these types.
 *
 *     mkdir -p /tmp/golden && cd /tmp/golden
 *     npm install --ignore-scripts --omit=optional @node-llama-cpp/linux-x64@3.22.1
 *     cd -
 *     deno run -A tools/golden/k_quantisation.ts /tmp/golden
 */
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { TENSOR_TYPES } from "../../src/formats/tensor_types.ts";

const BLOCKS = 8;
const ELEMENTS = 256;

const [directory] = Deno.args;
if (directory === undefined) {
  console.error("Usage: deno run -A tools/golden/k_quantisation.ts DIRECTORY, which holds node_modules");
  Deno.exit(2);
}
const library = Deno.dlopen(`${directory}/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so`, {
  ggml_quantize_chunk: { parameters: ["i32", "buffer", "buffer", "i64", "i64", "i64", "buffer"], result: "usize" },
});

/** Ordinary ones; parts of very different sizes; zeros; equal ones; positive ones; negative ones; few that are not zero; steps. */
function values(): Float32Array<ArrayBuffer> {
  const random = seededRandom(17);
  const size = Array.from({ length: ELEMENTS / 16 }, () => 10 ** (12 * random() - 9));
  const shapes: ((value: number, i: number) => number)[] = [
    (value) => value,
    (value, i) => value * size[i >> 4],
    () => 0,
    () => 0.37,
    (value) => Math.abs(value),
    (value) => -Math.abs(value),
    (value, i) => i % 7 === 0 ? value : 0,
    (value) => Math.round(8 * value) / 8,
  ];
  return normalValues(random, BLOCKS * ELEMENTS)
    .map((value, i) => shapes[Math.floor(i / ELEMENTS)](value, i % ELEMENTS));
}

const floats = values();
const quantise = Object.fromEntries((["Q4_K", "Q5_K", "Q6_K"] as const).map((type) => {
  const { ggufTypeId, blockBytes } = TENSOR_TYPES[type];
  const blocks = new Uint8Array(BLOCKS * blockBytes);
  library.symbols.ggml_quantize_chunk(ggufTypeId, floats, blocks, 0n, 1n, BigInt(floats.length), null);
  return [type, { values: new Uint8Array(floats.buffer).toBase64(), blocks: blocks.toBase64() }];
}));
const path = new URL("../../tests/golden/k_quantisation.json", import.meta.url);
await Deno.writeTextFile(path, `${JSON.stringify({ quantise }, null, 1)}\n`);
