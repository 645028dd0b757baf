/**
 * @file What a GGUF file's weights can be stored as, and which tensor gets which type: the rules of llama.cpp's quantiser
 * (`llama_tensor_get_type` of src/llama-quant.cpp), for the architectures that Ebb runs.
 *
 * Matrices get the type that is asked for; norms and biases stay as they are. Of a quantised file, the output matrix (the
 * embedding, where it is that too) is Q6_K unless it is Q8_0, and the mixed types give some layers' most sensitive matrices more
 * bits. Rows that are no multiple of 256 go to a type with blocks of 32, and those that do not fit these either to F16.
 */
import type { TensorType } from "../formats/model_file.ts";
import { TENSOR_TYPES } from "../formats/tensor_types.ts";

/** The types of files, by the names that llama.cpp knows them by. */
export const FILE_TYPES = {
  F32: { number: 0, matrices: "F32" },
  F16: { number: 1, matrices: "F16" },
  BF16: { number: 32, matrices: "BF16" },
  Q8_0: { number: 7, matrices: "Q8_0" },
  Q6_K: { number: 18, matrices: "Q6_K" },
  Q5_K_M: { number: 17, matrices: "Q5_K" },
  Q5_K_S: { number: 16, matrices: "Q5_K" },
  Q5_1: { number: 9, matrices: "Q5_1" },
  Q5_0: { number: 8, matrices: "Q5_0" },
  Q4_K_M: { number: 15, matrices: "Q4_K" },
  Q4_K_S: { number: 14, matrices: "Q4_K" },
  Q4_1: { number: 3, matrices: "Q4_1" },
  Q4_0: { number: 2, matrices: "Q4_0" },
} as const satisfies Record<string, {
  /** `general.file_type`. */
  readonly number: number;
  readonly matrices: TensorType;
}>;
export type FileType = keyof typeof FILE_TYPES;

/** Shorter names. */
export const FILE_TYPE_ALIASES: Readonly<Record<string, FileType>> = { Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

/** What a type with blocks of 256 becomes where rows are no multiple of that. */
const FOR_SHORT_ROWS: Partial<Record<TensorType, TensorType>> = { Q4_K: "Q5_0", Q5_K: "Q5_1", Q6_K: "Q8_0" };

/** A tensor of a GGUF file. */
interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: TensorType;
}

/**
 * The type of every tensor in a file of the type.
 *
 * @param tensors all of the model's, named as in GGUF
 * @returns in their order
 */
export function tensorTypes(tensors: readonly Tensor[], fileType: FileType): TensorType[] {
  const { matrices } = FILE_TYPES[fileType];
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const isOutput = (name: string) =>
    name === "output.weight" || (name === "token_embd.weight" && !byName.has("output.weight"));
  const layerCount = tensors.filter(({ name }) => /^blk\.\d+\.attn_v\.weight$/.test(name)).length;
  const rowsOf = (name: string) => byName.get(name)?.shape[0] ?? 0;
  // Llama 2's and 3's of 70 billion weights, and Qwen's of 72: eight heads share a value.
  const sharesValues = layerCount === 80 && rowsOf("blk.0.attn_v.weight") < rowsOf("blk.0.attn_q.weight");

  const wanted = ({ name }: Tensor): TensorType => {
    if (TENSOR_TYPES[matrices].blockElements === 1) return matrices;
    if (isOutput(name)) return matrices === "Q8_0" ? "Q8_0" : "Q6_K";
    const [, number, weight] = /^blk\.(\d+)\.(.*)\.weight$/.exec(name) ?? [];
    const layer = Number(number);
    if (weight !== "attn_v" && weight !== "ffn_down") return matrices;
    switch (fileType) {
      case "Q4_K_M":
      case "Q5_K_M":
        if (getsMoreBits(layer, layerCount)) return "Q6_K";
        break;
      case "Q4_K_S":
        if (weight === "attn_v" ? layer < 4 : layer < Math.floor(layerCount / 8)) return "Q5_K";
    }
    return weight === "attn_v" && sharesValues && matrices === "Q4_K" ? "Q5_K" : matrices;
  };
  return tensors.map((tensor) => {
    const isMatrix = tensor.shape.length > 1 && tensor.name.endsWith(".weight");
    return isMatrix ? fitting(wanted(tensor), tensor.shape.at(-1)!) : tensor.type;
  });
}

/** The first and last eighth of the layers, and every third of the others. */
function getsMoreBits(layer: number, layerCount: number): boolean {
  const eighth = Math.floor(layerCount / 8);
  return layer < eighth || layer >= Math.floor(7 * layerCount / 8) || (layer - eighth) % 3 === 2;
}

/** A type that rows of this length can have. */
function fitting(type: TensorType, rowElements: number): TensorType {
  const fits = (type: TensorType) => rowElements % TENSOR_TYPES[type].blockElements === 0;
  if (fits(type)) return type;
  const smaller = FOR_SHORT_ROWS[type];
  return smaller !== undefined && fits(smaller) ? smaller : "F16";
}
