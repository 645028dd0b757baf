/**
 * @file Reads a directory as Hugging Face lays one out: `config.json`, and `model.safetensors` or several such files
 * with `model.safetensors.index.json`. Format: https://github.com/huggingface/safetensors#format
 *
 *     8 bytes     length of the header, little-endian
 *     header      JSON: {"name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, ..., "__metadata__": {...}}
 *     data        tensors, row-major and little-endian; offsets count from here
 */

import { isJsonObject } from "./json_object.ts";
import { type ModelFile, ModelFileError, type TensorType } from "./model_file.ts";
import { quote } from "./quote.ts";
import { RandomAccessFile } from "./random_access_file.ts";
import { checkPlacement, modelFile, type StoredTensor } from "./stored_tensors.ts";
import { tensorByteLength } from "./tensor_types.ts";
import { fileExists } from "./file_exists.ts";

/** The limit that the format's reference implementation sets. */
const MAX_HEADER_BYTES = 100_000_000;

/** `config.json` is a few kilobytes; an index of 100,000 tensors is about 10 MB. */
const MAX_JSON_FILE_BYTES = 64 * 2 ** 20;

const DATA_TYPES: readonly TensorType[] = ["F32", "F16", "BF16"];

/**
 * Opens a model directory: reads and checks `config.json`, the index and the headers of all shards, and leaves the
 * tensors to be read on demand. Where there is an index, only the tensors that it lists are visible.
 *
 * @throws {ModelFileError} when a file is missing, damaged, hostile or uses something unsupported
 */
export async function openSafetensors(directory: string): Promise<ModelFile> {
  const metadata = await readJsonFile(`${directory}/config.json`);
  const files: RandomAccessFile[] = [];
  const readShard = async (name: string) => {
    const file = await RandomAccessFile.open(`${directory}/${name}`);
    files.push(file);
    return readTensorInfos(file);
  };
  try {
    const tensors = await fileExists(`${directory}/model.safetensors`)
      ? await readShard("model.safetensors")
      : await readShards(directory, readShard);
    return modelFile({ path: directory, format: "safetensors", metadata, tensors, files });
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

/** The tensors that the index lists, each from the shard that it names. */
async function readShards(
  directory: string,
  readShard: (name: string) => Promise<StoredTensor[]>,
): Promise<StoredTensor[]> {
  const path = `${directory}/model.safetensors.index.json`;
  if (!await fileExists(path)) {
    throw new ModelFileError(
      `${directory} has no weights: expected model.safetensors, or model.safetensors.index.json and the files it lists`,
    );
  }
  const { weight_map: weightMap } = await readJsonFile(path);
  if (!isJsonObject(weightMap)) {
    throw new ModelFileError(`${path}: weight_map is ${describe(weightMap)}: expected an object`);
  }
  const namesByShard = new Map<string, string[]>();
  for (const [name, shard] of Object.entries(weightMap)) {
    // A plain file name cannot lead out of the directory.
    if (typeof shard !== "string" || !/^[\w.-]+\.safetensors$/.test(shard)) {
      throw new ModelFileError(
        `${path}: weight_map puts tensor ${quote(name)} in ${describe(shard)}: ` +
          `expected the name of a .safetensors file beside the index`,
      );
    }
    const names = namesByShard.get(shard);
    if (names === undefined) namesByShard.set(shard, [name]);
    else names.push(name);
  }
  for (const shard of namesByShard.keys()) {
    if (!await fileExists(`${directory}/${shard}`)) {
      throw new ModelFileError(`${directory} has no file ${quote(shard)}, which its index lists: download it too`);
    }
  }
  const tensors: StoredTensor[] = [];
  for (const [shard, names] of namesByShard) {
    const inShard = new Map((await readShard(shard)).map((tensor) => [tensor.name, tensor]));
    for (const name of names) {
      const tensor = inShard.get(name);
      if (tensor === undefined) {
        throw new ModelFileError(`${path}: weight_map puts tensor ${quote(name)} in ${shard}, which does not have it`);
      }
      tensors.push(tensor);
    }
  }
  return tensors;
}

function readTensorInfos(file: RandomAccessFile): StoredTensor[] {
  if (file.size < 8) throw new ModelFileError(`${file.path} has ${file.size} bytes: expected a header length in 8`);
  const headerLength = new DataView(file.read(0, 8).buffer).getBigUint64(0, true);
  if (headerLength > Math.min(MAX_HEADER_BYTES, file.size - 8)) {
    throw new ModelFileError(
      `${file.path}: header length is ${headerLength}: expected at most ${MAX_HEADER_BYTES}, ` +
        `and no more than the rest of the file (${file.size} bytes in all, perhaps incomplete)`,
    );
  }
  const dataStart = 8 + Number(headerLength);
  const header = parseObject(file.read(8, Number(headerLength)), `${file.path}: header`);
  const tensors = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, info]) => readTensorInfo(file, name, info, dataStart));
  checkPlacement(tensors);
  return tensors;
}

function readTensorInfo(file: RandomAccessFile, name: string, info: unknown, dataStart: number): StoredTensor {
  const error = (problem: string) => new ModelFileError(`${file.path}: tensor ${quote(name)} ${problem}`);
  if (!isJsonObject(info)) throw error(`is ${describe(info)}: expected an object with dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = info;

  const type = DATA_TYPES.find((type) => type === dtype);
  if (type === undefined) throw error(`has dtype ${describe(dtype)}: expected one of ${DATA_TYPES.join(", ")}`);
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw error(`has shape ${describe(shape)}: expected an array of positive whole numbers`);
  }
  if (
    !Array.isArray(offsets) || offsets.length !== 2 || !offsets.every((at) => Number.isSafeInteger(at) && at >= 0)
  ) {
    throw error(`has data_offsets ${describe(offsets)}: expected two whole numbers, start and end`);
  }
  const [start, end] = offsets;
  const byteLength = tensorByteLength(type, shape);
  if (end - start !== byteLength) {
    throw error(
      `has data_offsets ${describe(offsets)}, ${end - start} bytes: expected ${byteLength} for ${type} ${
        describe(shape)
      }`,
    );
  }
  return { name, type, shape, byteLength, file, start: dataStart + start };
}

/** @throws {ModelFileError} when the file is missing, too large, or not a JSON object */
async function readJsonFile(path: string): Promise<Record<string, unknown>> {
  const file = await RandomAccessFile.open(path);
  try {
    if (file.size > MAX_JSON_FILE_BYTES) {
      throw new ModelFileError(`${path} has ${file.size} bytes: expected at most ${MAX_JSON_FILE_BYTES}`);
    }
    return parseObject(file.read(0, file.size), path);
  } finally {
    file.close();
  }
}

function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ModelFileError(`${what} is not valid JSON: ${quote((error as Error).message)}`);
  }
  if (!isJsonObject(value)) throw new ModelFileError(`${what} is ${describe(value)}: expected a JSON object`);
  return value;
}

/** A JSON value as it stands in the file, cut short. Not JSON.stringify, which overflows the stack on deep nesting. */
function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "string") return quote(value);
  if (isJsonObject(value)) return "an object";
  if (!Array.isArray(value)) return String(value);
  const items = value.slice(0, 8).map((item) => typeof item === "number" ? String(item) : typeof item);
  return `[${items.join(", ")}${value.length > 8 ? ", ..." : ""}]`;
}
