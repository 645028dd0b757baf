/** @file The formats in which weights of each tensor type are held. */
import type { TensorType } from "../../formats/model_file.ts";
import { BF16, F16, F32 } from "./floats.ts";
import { Q4_K, Q5_K, Q6_K } from "./k_quants.ts";
import { Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from "./legacy_quants.ts";
import type { WeightFormat } from "./weight_format.ts";

const FORMATS: readonly WeightFormat[] = [
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q4_K,
  Q5_K,
  Q6_K,
];

/** The format in which weights of a tensor type are held. */
export function weightFormat(type: TensorType): WeightFormat {
  return FORMATS.find((format) => format.type === type)!;
}
