/**
 * @file How the 4 GiB that WebAssembly addresses are shared out, before anything is loaded:
 *
 *     | weights | prompts being read | KV cache | spare |
 *
 * What the user leaves open is made to fit; what cannot fit is refused, with what would.
 */
import { modelTensors } from "../architecture/architectures.ts";
import type { ModelConfig } from "../architecture/config.ts";
import { SizeError } from "../contract/errors.ts";
import type { ModelFile } from "../formats/model_file.ts";
import { defaultKvMemory } from "../model/dimensions.ts";
import { MEMORY_LIMIT } from "./runtime/onnxruntime.ts";

/** What weights are stored as. */
export const WEIGHT_TYPES = ["int8", "f32"] as const;
export type WeightType = typeof WEIGHT_TYPES[number];

/** What onnxruntime itself, activations and attention of a tile may take. */
const SPARE = 384 * 2 ** 20;
/** What a prompt may take while it is read, unless the user asks for a longer context. */
const PROMPT_MEMORY = 512 * 2 ** 20;
/** Rows of short prompts that are read beside a long one. */
const ROWS_BESIDE = 3 * 1024;

export interface MemoryRequest {
  readonly weights: WeightType;
  /** Longest prompt plus completion in tokens, and bytes of the KV cache, where the user names them. */
  readonly context?: number;
  readonly kvMemory?: number;
  readonly maxBatch: number;
}

export interface MemoryPlan {
  readonly contextLength: number;
  readonly kvMemory: number;
}

/** Elements of all weights of a model; an embedding that the output is tied to counts once. */
export function weightCount(file: ModelFile, config: ModelConfig): number {
  const { embedding, layers, outputNorm, output } = modelTensors(file, config);
  const slices = [embedding, outputNorm, ...output === embedding ? [] : [output], ...layers.flatMap(Object.values)];
  return slices.reduce((sum, { shape }) => sum + shape.reduce((product: number, size: number) => product * size, 1), 0);
}

/**
 * Shares the memory out.
 *
 * @param count elements of all weights
 * @throws {SizeError} where it does not hold what is asked for, saying what would fit
 */
export function planMemory(count: number, config: ModelConfig, request: MemoryRequest): MemoryPlan {
  const { weights, maxBatch } = request;
  const rowBytes = 4 * (config.hiddenSize + 2 * config.kvHeadCount * config.headSize);
  const contextLength = request.context ?? Math.min(config.contextLength, Math.floor(PROMPT_MEMORY / rowBytes));
  const prompts = (contextLength + ROWS_BESIDE) * rowBytes;
  const room = MEMORY_LIMIT - weightBytes(count, weights) - prompts - SPARE;
  const wanted = defaultKvMemory(config, { contextLength, maxBatch, kvElement: "f32" });
  const kvMemory = request.kvMemory ?? Math.min(wanted, room);
  if (kvMemory > 0 && kvMemory <= room) return { contextLength, kvMemory };

  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new SizeError(
    `WebAssembly addresses ${gibibytes(MEMORY_LIMIT)}, but on the CPU ${config.name} needs ` +
      `${gibibytes(weightBytes(count, weights))} for its weights in ${weights}, ${
        gibibytes(prompts)
      } to read prompts ` +
      `of up to ${contextLength} tokens and ${gibibytes(SPARE)} to compute` +
      (request.kvMemory === undefined ? "" : `, beside a KV cache of ${gibibytes(request.kvMemory)}`) +
      `: expected ${advice(count, request, room, rowBytes)}`,
  );
}

/** Bytes of all weights. */
function weightBytes(count: number, weights: WeightType): number {
  return weights === "f32" ? 4 * count : count;
}

function advice(
  count: number,
  { weights, context, kvMemory = 0 }: MemoryRequest,
  room: number,
  rowBytes: number,
): string {
  if (room > 0) return `a --kv-memory of at most ${Math.floor(room / 2 ** 20)}MiB`;
  if (weights === "f32" && weightBytes(count, "int8") < MEMORY_LIMIT / 2) return "--cpu-weights int8";
  const left = MEMORY_LIMIT - weightBytes(count, weights) - SPARE - kvMemory;
  // Half of what is left, so that the KV cache has room for what was read.
  const longest = Math.floor(left / 2 / rowBytes) - ROWS_BESIDE;
  if (context !== undefined && longest > 0) return `a --context of at most ${longest}`;
  return "a shorter --context, or a model of at most about 2.5 billion parameters";
}
