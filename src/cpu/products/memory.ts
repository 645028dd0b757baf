/** @file Whether a model's weights fit into the memory that WebAssembly addresses, said before they are loaded. */
import { modelTensors } from "../../architecture/architectures.ts";
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import { MEMORY_LIMIT } from "../runtime/onnxruntime.ts";

/** What weights are stored as. */
export const WEIGHT_TYPES = ["int8", "f32"] as const;
export type WeightType = typeof WEIGHT_TYPES[number];

const BYTES: Record<WeightType, number> = { int8: 1, f32: 4 };

/** Elements of all weights of a model; an embedding that the output is tied to counts once. */
export function weightCount(file: ModelFile, config: ModelConfig): number {
  const { embedding, layers, outputNorm, output } = modelTensors(file, config);
  const slices = [embedding, outputNorm, ...output === embedding ? [] : [output], ...layers.flatMap(Object.values)];
  return slices.reduce((sum, { shape }) => sum + shape.reduce((product: number, size: number) => product * size, 1), 0);
}

/** @throws {RangeError} saying what would fit, if weights and cache do not */
export function checkMemory(file: ModelFile, config: ModelConfig, type: WeightType, kvMemory: number): void {
  const count = weightCount(file, config);
  const needed = (as: WeightType) => count * BYTES[as] + kvMemory;
  if (needed(type) < MEMORY_LIMIT) return;
  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const fits = WEIGHT_TYPES.filter((other) => needed(other) < MEMORY_LIMIT);
  const advice = fits.length > 0
    ? `--cpu-weights ${fits[0]} needs ${gibibytes(needed(fits[0]))}`
    : `a smaller --kv-memory, or a model of at most ${((MEMORY_LIMIT - kvMemory) / 1e9).toFixed(1)} billion parameters`;
  throw new RangeError(
    `${config.name} needs ${gibibytes(needed(type))} on the CPU (weights in ${type} ${
      gibibytes(count * BYTES[type])
    }, ` +
      `KV cache ${gibibytes(kvMemory)}), but WebAssembly addresses ${gibibytes(MEMORY_LIMIT)}: ${advice}`,
  );
}
