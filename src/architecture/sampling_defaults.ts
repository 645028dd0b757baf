/** @file What a model's makers recommend for drawing its tokens: the defaults of requests that say nothing of it. */
import { join } from "node:path";
import type { SamplingDefaults } from "../contract/sampling.ts";
import { readJsonObject } from "../formats/json_object.ts";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import { quote } from "../formats/quote.ts";

/** Where a default comes from, and what it may be: the same as in a request. */
interface Field {
  /** GGUF's key behind `general.sampling.` (https://github.com/ggml-org/llama.cpp/pull/17120). */
  readonly gguf: string;
  /** In `generation_config.json`. */
  readonly huggingFace: string;
  /** Where the model says nothing: all tokens as the model has them, as OpenAI's API does. */
  readonly neutral: number;
  readonly from: number;
  readonly to: number;
}

const FIELDS: Readonly<Record<keyof SamplingDefaults, Field>> = {
  temperature: { gguf: "temp", huggingFace: "temperature", neutral: 1, from: 0, to: 100 },
  // -1 keeps all, as 0 does.
  topK: { gguf: "top_k", huggingFace: "top_k", neutral: 0, from: -1, to: 2 ** 31 - 1 },
  topP: { gguf: "top_p", huggingFace: "top_p", neutral: 1, from: 0, to: 1 },
  minP: { gguf: "min_p", huggingFace: "min_p", neutral: 0, from: 0, to: 1 },
  repetitionPenalty: {
    gguf: "penalty_repeat",
    huggingFace: "repetition_penalty",
    neutral: 1,
    from: 0.01,
    to: 100,
  },
};

/**
 * Reads what a model recommends: a GGUF file in its metadata, a safetensors model in the `generation_config.json` beside it.
 *
 * @throws {ModelFileError} when a recommendation is out of range
 */
export async function readSamplingDefaults(file: ModelFile): Promise<SamplingDefaults> {
  const isGguf = file.format === "gguf";
  const path = isGguf ? file.path : join(file.path, "generation_config.json");
  const values = isGguf ? file.metadata : await readJsonObject(path) ?? {};
  const read = ({ gguf, huggingFace, neutral, from, to }: Field): number => {
    const name = isGguf ? `general.sampling.${gguf}` : huggingFace;
    const value = values[name] ?? neutral;
    if (typeof value === "number" && value >= from && value <= to) return value;
    const shown = typeof value === "string" ? quote(value) : typeof value === "object" ? "no number" : String(value);
    throw new ModelFileError(`${path}: "${name}" is ${shown}: expected a number from ${from} to ${to}`);
  };
  return {
    temperature: read(FIELDS.temperature),
    topK: Math.max(read(FIELDS.topK), 0),
    topP: read(FIELDS.topP),
    minP: read(FIELDS.minP),
    repetitionPenalty: read(FIELDS.repetitionPenalty),
  };
}

/** The same as the metadata of a GGUF file: what says more than the absence of it. */
export function samplingMetadata(defaults: SamplingDefaults): Record<string, number> {
  const told = Object.entries(FIELDS).filter(([name, { neutral }]) =>
    defaults[name as keyof SamplingDefaults] !== neutral
  );
  return Object.fromEntries(
    told.map(([name, { gguf }]) => [`general.sampling.${gguf}`, defaults[name as keyof SamplingDefaults]]),
  );
}
