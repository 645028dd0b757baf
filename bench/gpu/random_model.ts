/**
 * @file A Llama of any size with random weights, written to a GGUF file piece by piece.
 *
 * Random numbers are made and quantised once for each width of a matrix, some megabytes of them; a matrix is those blocks
 * over and over, each run of them from another place. Weights have a deviation of 1 / sqrt(columns), so that activations
 * neither grow nor fade from layer to layer.
 */
import { float32, type GgufWriterValue, placeGguf } from "../../src/formats/gguf_writer.ts";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { tinySentencePiece } from "../../fixtures/tiny_tokenizer.ts";
import { tensorNames } from "../../src/architecture/architectures.ts";
import type { TensorType } from "../../src/formats/model_file.ts";
import { quantise } from "../../src/formats/quantisation.ts";
import { TENSOR_TYPES, tensorByteLength } from "../../src/formats/tensor_types.ts";
import type { Shape } from "./shapes.ts";

interface RandomTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  /** Of its elements; norms are ones. */
  readonly deviation: number;
}

/** Elements that are made once. */
const POOL_ELEMENTS = 2 ** 19;
/** Tokens of a vocabulary that every shape's is larger than. */
const SMALL_VOCABULARY = 300;
const TOKENIZER = "tokenizer.ggml.";
/** The type of an ordinary token. */
const NORMAL = 1;
const CHUNK_BYTES = 16 * 2 ** 20;

/**
 * Writes the model's file.
 *
 * @param onProgress told after every chunk how many bytes have been written
 * @returns the file's bytes
 * @throws {RangeError} when a row of a matrix is not a whole number of the type's blocks
 */
export async function writeRandomModel(
  path: string,
  shape: Shape,
  type: TensorType,
  onProgress: (bytes: number) => void = () => {},
): Promise<number> {
  const tensors = tensorsOf(shape, type);
  const { header, starts, bytes } = placeGguf(metadataOf(shape), tensors);
  const random = seededRandom(1);
  const pools = new Map<string, Uint8Array>();
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const write = (at: number, data: Uint8Array) => {
    file.seekSync(at, Deno.SeekMode.Start);
    for (let done = 0; done < data.byteLength;) done += file.writeSync(data.subarray(done));
  };
  write(0, header);
  for (const [index, tensor] of tensors.entries()) {
    const length = tensorByteLength(tensor.type, tensor.shape);
    const key = `${tensor.type} ${tensor.deviation}`;
    const pool = pools.get(key) ?? poolOf(tensor, random);
    pools.set(key, pool);
    const { blockBytes } = TENSOR_TYPES[tensor.type];
    // The largest multiple of whole blocks.
    const chunk = new Uint8Array(Math.min(length, Math.floor(CHUNK_BYTES / blockBytes) * blockBytes));
    for (let done = 0; done < length; done += chunk.byteLength) {
      for (let filled = 0; filled < chunk.byteLength;) {
        const from = Math.floor(random() * pool.byteLength / blockBytes) * blockBytes;
        const run = pool.subarray(from, Math.min(pool.byteLength, from + chunk.byteLength - filled));
        chunk.set(run, filled);
        filled += run.byteLength;
      }
      write(starts[index] + done, chunk.subarray(0, Math.min(chunk.byteLength, length - done)));
      onProgress(starts[index] + done + chunk.byteLength);
      // Lets the process be told to end.
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  file.truncateSync(bytes);
  return bytes;
}

/** Bytes of the model's file. */
export function randomModelBytes(shape: Shape, type: TensorType): number {
  return placeGguf(metadataOf(shape), tensorsOf(shape, type)).bytes;
}

function poolOf({ type, deviation }: RandomTensor, random: () => number): Uint8Array {
  if (deviation === 0) return quantise("F32", new Float32Array(POOL_ELEMENTS).fill(1));
  return quantise(type, normalValues(random, POOL_ELEMENTS, deviation));
}

function tensorsOf(shape: Shape, type: TensorType): RandomTensor[] {
  const { layers, hiddenSize, queryHeads, kvHeads, headSize, feedForwardSize, vocabulary } = shape;
  const names = tensorNames("llama", "gguf");
  const matrix = (name: string, rows: number, columns: number, deviation = 1 / Math.sqrt(columns)): RandomTensor => ({
    name,
    type,
    shape: [rows, columns],
    deviation,
  });
  const norm = (name: string): RandomTensor => ({ name, type: "F32", shape: [hiddenSize], deviation: 0 });
  return [
    matrix(names.embedding, vocabulary, hiddenSize, 1),
    ...Array.from({ length: layers }, (_, layer) => {
      const named = (name: keyof typeof names.layer) => `${names.layers}${layer}.${names.layer[name]}`;
      return [
        norm(named("attentionNorm")),
        matrix(named("query"), queryHeads * headSize, hiddenSize),
        matrix(named("key"), kvHeads * headSize, hiddenSize),
        matrix(named("value"), kvHeads * headSize, hiddenSize),
        matrix(named("output"), hiddenSize, queryHeads * headSize),
        norm(named("feedForwardNorm")),
        matrix(named("gate"), feedForwardSize, hiddenSize),
        matrix(named("up"), feedForwardSize, hiddenSize),
        matrix(named("down"), hiddenSize, feedForwardSize),
      ];
    }).flat(),
    norm(names.outputNorm),
    matrix(names.output, vocabulary, hiddenSize),
  ];
}

function metadataOf(shape: Shape): Record<string, GgufWriterValue> {
  const fields: Record<string, GgufWriterValue> = {
    block_count: shape.layers,
    context_length: shape.context,
    embedding_length: shape.hiddenSize,
    feed_forward_length: shape.feedForwardSize,
    vocab_size: shape.vocabulary,
    "attention.head_count": shape.queryHeads,
    "attention.head_count_kv": shape.kvHeads,
    "attention.key_length": shape.headSize,
    "attention.value_length": shape.headSize,
    "attention.layer_norm_rms_epsilon": float32(1e-5),
    "rope.freq_base": float32(shape.ropeBase),
    "rope.dimension_count": shape.headSize,
  };
  return {
    "general.architecture": "llama",
    "general.name": "random llama",
    ...Object.fromEntries(Object.entries(fields).map(([key, value]) => [`llama.${key}`, value])),
    ...stubTokenizer(shape.vocabulary),
  };
}

/** Token ids are all that is measured with, but llama.cpp loads no model without a tokenizer that knows every byte. */
function stubTokenizer(vocabulary: number): Record<string, GgufWriterValue> {
  const { model, tokens, ...rest } = Object.fromEntries(
    Object.entries(tinySentencePiece(SMALL_VOCABULARY)).map(([key, value]) => [key.slice(TOKENIZER.length), value]),
  );
  const filler = Array.from({ length: vocabulary - SMALL_VOCABULARY }, (_, i) => `<${i}>`);
  const typed = rest.token_type as Int32Array;
  const types = Int32Array.from({ length: vocabulary }, (_, id) => typed[id] ?? NORMAL);
  const scores = Float32Array.from({ length: vocabulary }, (_, id) => -id);
  const all = { ...rest, model, tokens: [...tokens as string[], ...filler], scores, token_type: types };
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [TOKENIZER + key, value]));
}
