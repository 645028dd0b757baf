/** @file Flags of the commands for model files; see shared.ts. */
import { FILE_TYPE_ALIASES, FILE_TYPES, type FileType } from "../../conversion/file_types.ts";
import { type AnyFlag, onOff, type OptionsOf, text, type ValueType } from "../values.ts";
import { modelFile } from "./shared.ts";

/** `inspect`: what a model file holds. */
export const INSPECT_FLAGS = {
  model: { value: modelFile, required: true, help: "GGUF file, directory with safetensors, or hf:OWNER/REPO[:FILE]" },
  json: { value: onOff, default: false, help: "Print JSON" },
} as const satisfies Record<string, AnyFlag>;

/** `pull`: gets a model. */
export const PULL_FLAGS = {
  model: {
    value: text("MODEL", "hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL"),
    required: true,
    help: "Repository of the hub, a file of it (or a word of its name, such as Q8_0), or a URL",
  },
} as const satisfies Record<string, AnyFlag>;

const fileTypes: ValueType<FileType> = {
  placeholder: "TYPE",
  expectation: Object.keys({ ...FILE_TYPES, ...FILE_TYPE_ALIASES }).join(", "),
  parse: (text) => Object.keys(FILE_TYPES).find((type): type is FileType => type === text) ?? FILE_TYPE_ALIASES[text],
};

const ggufOut = { value: text("OUT.gguf", "a file to write"), required: true, help: "File to write" } as const;

/** `convert`: from safetensors to GGUF. */
export const CONVERT_FLAGS = {
  model: {
    value: text("FOLDER", "a folder with safetensors, or hf:OWNER/REPO"),
    required: true,
    help: "Folder with config.json, tokenizer.json and safetensors, or hf:OWNER/REPO",
  },
  out: ggufOut,
  type: { value: fileTypes, help: "Type of the weights, such as Q8_0; default: as in the folder" },
} as const satisfies Record<string, AnyFlag>;

/** `quantize`: the same model in fewer bits. */
export const QUANTIZE_FLAGS = {
  model: {
    value: text("IN.gguf", "a GGUF file, hf:OWNER/REPO:FILE or a URL"),
    required: true,
    help: "GGUF file, of F32, F16 or BF16 for the best result, or hf:OWNER/REPO:FILE",
  },
  out: ggufOut,
  type: {
    value: fileTypes,
    required: true,
    help: `Type of the weights: ${Object.keys(FILE_TYPES).join(", ")}; Q4_K and Q5_K are their M`,
  },
} as const satisfies Record<string, AnyFlag>;

/** `models`: lists the cache. */
export const MODELS_FLAGS = {} as const satisfies Record<string, AnyFlag>;

/** `rm`: deletes a model. */
export const RM_FLAGS = {
  name: { value: text("NAME", "a name that main.ts models lists"), required: true, help: "Model, as models lists it" },
} as const satisfies Record<string, AnyFlag>;

export type InspectOptions = OptionsOf<typeof INSPECT_FLAGS>;
export type PullOptions = OptionsOf<typeof PULL_FLAGS>;
export type ConvertOptions = OptionsOf<typeof CONVERT_FLAGS>;
export type QuantizeOptions = OptionsOf<typeof QUANTIZE_FLAGS>;
export type RmOptions = OptionsOf<typeof RM_FLAGS>;
