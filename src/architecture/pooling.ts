/** @file How a model's makers pool the hidden states of a text's tokens to one vector: GGUF's field `pooling_type`. */
import type { PromptPooling } from "../contract/generation.ts";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import { quote } from "../formats/quote.ts";

/** By GGUF's number. llama.cpp takes the last token's where a file says "none" or nothing. */
const POOLINGS: readonly PromptPooling[] = ["last", "mean", "first", "last"];

/**
 * What the file says, else `last`.
 *
 * @throws {ModelFileError} when it says something else, such as that the model is a reranker
 */
export function readPooling(file: ModelFile): PromptPooling {
  if (file.format !== "gguf") return "last";
  const field = `${file.metadata["general.architecture"]}.pooling_type`;
  const value = file.metadata[field] ?? 0;
  const pooling = POOLINGS[value as number];
  if (pooling !== undefined) return pooling;
  const shown = typeof value === "string" ? quote(value) : String(value);
  throw new ModelFileError(
    `${file.path}: ${field} is ${shown}: expected 0 (none), 1 (mean), 2 (first token) or 3 (last token)`,
  );
}
