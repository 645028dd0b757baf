/**
 * @file A folder with safetensors as one GGUF file: hyperparameters, tokenizer, chat templates, recommended sampling, weights.
 *
 * Weights are renamed, packed ones taken apart, and the rows of queries and keys put in the order that GGUF has them in for some
 * architectures: pairs that are rotated together lie side by side there, and half a head apart in Hugging Face's files.
 */
import {
  ARCHITECTURES,
  type LayerTensors,
  modelTensors,
  tensorNames,
  type TensorSlice,
} from "../architecture/architectures.ts";
import type { ModelConfig } from "../architecture/config.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { readSamplingDefaults, samplingMetadata } from "../architecture/sampling_defaults.ts";
import { float32, type GgufWriterValue } from "../formats/gguf_writer.ts";
import { type ModelFile, ModelFileError, type TensorType } from "../formats/model_file.ts";
import { tensorByteLength } from "../formats/tensor_types.ts";
import { readTemplateSources } from "../text/chat_template.ts";
import { readTokenizerFiles } from "../text/tokenizer_json.ts";
import { architectureMetadata, ropeFactors } from "./architecture_metadata.ts";
import { FILE_TYPES, type FileType, tensorTypes } from "./file_types.ts";
import { QUANTIZATION_VERSION } from "./quantize_model.ts";
import { tokenizerMetadata } from "./tokenizer_metadata.ts";
import { type OnProgress, retyped, type TensorToWrite, writeModel } from "./write_model.ts";

/**
 * Writes the model as a GGUF file.
 *
 * @param file an open folder
 * @param fileType default: that of the folder's matrices
 * @throws {ModelFileError} when it is no model that Ebb runs, or GGUF cannot hold it, or there is a file at `out` already
 */
export async function convertModel(
  file: ModelFile,
  out: string,
  fileType?: FileType,
  onProgress?: OnProgress,
): Promise<void> {
  if (file.format !== "safetensors") {
    throw new ModelFileError(`${file.path} is a GGUF file already: main.ts quantize changes the type of its weights`);
  }
  const config = await readModelConfig(file);
  const weights = weightsOf(file, config);
  const type = fileType ?? file.tensors.get(weights[0].slice.name)!.type as FileType;
  const types = tensorTypes(
    weights.map(({ name, slice: { shape } }) => ({ name, shape, type: "F32" })),
    type,
  );
  await writeModel(
    out,
    await metadataOf(file, config, type),
    [...factorsOf(config), ...weights.map((weight, i) => toWrite(file, config, weight, types[i]))],
    onProgress,
  );
}

/** A weight, by its name in the GGUF file, and where it lies in the folder. */
interface Weight {
  readonly name: string;
  readonly slice: TensorSlice;
  /** Whether its rows belong to heads that are rotated. */
  readonly isRotated: boolean;
}

/** All weights, the embedding first. */
function weightsOf(file: ModelFile, config: ModelConfig): Weight[] {
  const names = tensorNames(config.architecture, "gguf");
  const { embedding, layers, outputNorm, output } = modelTensors(file, config);
  const whole = (name: string, slice: TensorSlice) => ({ name, slice, isRotated: false });
  return [
    whole(names.embedding, embedding),
    ...layers.flatMap((layer, i) =>
      Object.entries(layer).map(([weight, slice]) => ({
        name: `${names.layers}${i}.${names.layer[weight as keyof LayerTensors]}`,
        slice,
        isRotated: ["query", "key", "queryBias", "keyBias"].includes(weight),
      }))
    ),
    whole(names.outputNorm, outputNorm),
    ...(config.tiedEmbeddings ? [] : [whole(names.output, output)]),
  ];
}

function toWrite(file: ModelFile, config: ModelConfig, weight: Weight, type: TensorType): TensorToWrite {
  return { name: weight.name, shape: weight.slice.shape, type, pieces: () => pieces(file, config, weight, type) };
}

/** Rows are read as many at a time as make a megabyte or a head. */
const PIECE_BYTES = 2 ** 20;

async function* pieces(
  file: ModelFile,
  config: ModelConfig,
  { slice, isRotated }: Weight,
  type: TensorType,
): AsyncIterable<Uint8Array> {
  const { type: stored } = file.tensors.get(slice.name)!;
  const rowElements = slice.shape[1] ?? 1;
  const rowBytes = tensorByteLength(stored, [rowElements]);
  const { rope: { dimensions }, headSize } = config;
  const reorders = isRotated && ARCHITECTURES[config.architecture].ggufPairing === "adjacent";
  const headsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / (rowBytes * headSize)));
  for (const [start, end] of slice.rows) {
    const most = headsAtOnce * headSize;
    for (let row = start; row < end; row += most) {
      const rows = Math.min(most, end - row);
      const bytes = await file.readTensor(slice.name, row * rowBytes, rows * rowBytes);
      const ordered = reorders ? pairedAdjacently(bytes, rowBytes, headSize, dimensions) : bytes;
      yield retyped(file, slice.name, ordered, stored, rows * rowElements, type);
    }
  }
}

/** The rows of whole heads, those that are rotated together side by side: (i, i + n / 2) becomes (2i, 2i + 1). */
function pairedAdjacently(bytes: Uint8Array, rowBytes: number, headSize: number, dimensions: number): Uint8Array {
  const result = bytes.slice();
  for (let head = 0; head < bytes.length / rowBytes; head += headSize) {
    for (let i = 0; i < dimensions; i++) {
      const from = head + (i >> 1) + (i & 1) * dimensions / 2;
      result.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), (head + i) * rowBytes);
    }
  }
  return result;
}

function factorsOf(config: ModelConfig): TensorToWrite[] {
  const factors = ropeFactors(config);
  if (factors === undefined) return [];
  return [{
    name: "rope_freqs.weight",
    shape: [factors.length],
    type: "F32",
    async *pieces() {
      yield await Promise.resolve(new Uint8Array(factors.buffer));
    },
  }];
}

async function metadataOf(
  file: ModelFile,
  config: ModelConfig,
  fileType: FileType,
): Promise<Record<string, GgufWriterValue>> {
  const { ordinary, toolUse } = await readTemplateSources(file);
  const sampling = samplingMetadata(await readSamplingDefaults(file));
  return {
    ...architectureMetadata(file, config),
    "general.file_type": FILE_TYPES[fileType].number,
    "general.quantization_version": QUANTIZATION_VERSION,
    ...Object.fromEntries(
      Object.entries(sampling).map(([key, value]) => [key, key.endsWith("top_k") ? value : float32(value)]),
    ),
    ...tokenizerMetadata(await readTokenizerFiles(file.path), file.metadata, config),
    ...(ordinary === undefined ? {} : { "tokenizer.chat_template": ordinary }),
    ...(toolUse === undefined ? {} : {
      "tokenizer.chat_templates": ["tool_use"],
      "tokenizer.chat_template.tool_use": toolUse,
    }),
  };
}
