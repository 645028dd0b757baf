/**
 * @file Makes the GGUF file of the embedded model from what dump_weights.py wrote.
 *
 * `deno run -A tools/train/export.ts TOKENIZER.json WEIGHTS models/ebb-mini.gguf`, where WEIGHTS.json and WEIGHTS.f32 exist.
 */
import { float32, type GgufWriterTensor, writeGguf } from "../../src/formats/gguf_writer.ts";
import { quantise } from "../../src/formats/quantisation.ts";
import { type TokenizerFile, tokenizerMetadata } from "./tokenizer.ts";

/** WEIGHTS.json; sizes as in train.py's Config. */
interface WeightsFile {
  readonly config: {
    readonly vocabulary: number;
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
    readonly kv_heads: number;
    readonly head_size: number;
    readonly hidden: number;
    readonly rope_base: number;
    readonly context: number;
  };
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** Metadata of the architecture, in the keys of GGUF's specification. */
function architectureMetadata({ config }: WeightsFile) {
  return {
    "general.architecture": "llama",
    "general.name": "Ebb Mini",
    "general.license": "mit",
    "general.description": "A small model that answers questions about its context; embedded in Ebb",
    "general.file_type": 7,
    "general.quantization_version": 2,
    // Sampled as they are, the words of its prose are often misspelt.
    "general.sampling.temp": float32(0.7),
    "general.sampling.min_p": float32(0.1),
    "llama.block_count": config.layers,
    "llama.context_length": config.context,
    "llama.embedding_length": config.width,
    "llama.feed_forward_length": config.hidden,
    "llama.attention.head_count": config.heads,
    "llama.attention.head_count_kv": config.kv_heads,
    "llama.attention.key_length": config.head_size,
    "llama.attention.value_length": config.head_size,
    "llama.attention.layer_norm_rms_epsilon": float32(1e-5),
    "llama.rope.dimension_count": config.head_size,
    "llama.rope.freq_base": float32(config.rope_base),
    "llama.vocab_size": config.vocabulary,
  };
}

if (import.meta.main) {
  const [tokenizerPath, weightsPath, out] = Deno.args;
  const tokenizer: TokenizerFile = JSON.parse(await Deno.readTextFile(tokenizerPath));
  const weights: WeightsFile = JSON.parse(await Deno.readTextFile(`${weightsPath}.json`));
  const values = new Float32Array((await Deno.readFile(`${weightsPath}.f32`)).buffer);
  let start = 0;
  const tensors = weights.tensors.map(({ name, shape }): GgufWriterTensor => {
    const count = shape.reduce((product, size) => product * size, 1);
    const type = shape.length === 1 ? "F32" : "Q8_0";
    const data = quantise(type, values.subarray(start, start += count));
    return { name, type, shape, data };
  });
  const file = writeGguf({ ...architectureMetadata(weights), ...tokenizerMetadata(tokenizer) }, tensors);
  await Deno.writeFile(out, file);
  console.log(`${out}: ${file.byteLength} bytes, ${values.length} parameters`);
}
