/** @file The bodies of `POST /v1/embeddings` and `POST /v1/rerank`. */
import { z } from "zod";
import { boolean, integerFrom, isTokenId, listOf, text } from "./checks.ts";
import { refusals } from "./refused_fields.ts";

/** OpenAI's own bound. */
const MAX_INPUTS = 2048;
const MAX_DOCUMENTS = 2048;

/** Of TEI, vLLM, Jina and Cohere. */
const PROMPTS = "texts are read as they are given: put an instruction into them";
const CHUNKS = "texts are never split";

/** A text, or several: as text or as token ids. Checked by hand, as the prompts of completions. */
export type EmbeddingInput = string | string[] | number[] | number[][];

function isInput(value: unknown): value is EmbeddingInput {
  if (typeof value === "string") return value !== "";
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] === "number") return value.every(isTokenId);
  if (value.length > MAX_INPUTS) return false;
  if (typeof value[0] === "string") return value.every((item) => typeof item === "string" && item !== "");
  return value.every((list) => Array.isArray(list) && list.length > 0 && list.every(isTokenId));
}

// vLLM's: -1 stands for the model's own limit.
const truncation = z.custom<number>((value) => value === -1 || (isTokenId(value) && value > 2), {
  error: "expected an integer above 2, or -1 for the most that the model reads",
}).nullish();

/** `POST /v1/embeddings`. */
export const embeddingRequest = z.object({
  ...refusals({
    add_special_tokens: ["texts get the special tokens that the model was trained with", true],
    normalize: ["vectors are scaled as the model's own files say"],
    prompt_name: [PROMPTS],
    input_type: [PROMPTS],
    task: [PROMPTS],
    instruction: [PROMPTS],
    late_chunking: [CHUNKS, false],
    embedding_types: ["numbers are 32-bit floats"],
    output_dtype: ["numbers are 32-bit floats", "float"],
  }),
  model: text.nullish(),
  input: z.custom<EmbeddingInput>(isInput, {
    error: "expected a string, an array of strings, an array of token ids, or an array of those, none of them empty, " +
      `and at most ${MAX_INPUTS} inputs`,
  }),
  encoding_format: z.enum(["float", "base64"], { error: 'expected "float" or "base64"' }).nullish(),
  dimensions: integerFrom(1).nullish(),
  truncate_prompt_tokens: truncation,
}, { error: "expected a JSON object" });

const document = z.union([text, z.object({ text })], { error: "expected a string, or an object with text" })
  .transform((value) => typeof value === "string" ? value : value.text);

/** `POST /v1/rerank`. */
export const rerankRequest = z.object({
  ...refusals({
    max_tokens_per_doc: [`${CHUNKS}; use truncate_prompt_tokens`],
    max_chunks_per_doc: [CHUNKS],
    rank_fields: ["documents are texts"],
    instruction: [PROMPTS],
    raw_scores: ["scores are as the model's own files say", false],
  }),
  model: text.nullish(),
  query: text.min(1, { error: "expected a string that is not empty" }),
  documents: listOf(document, MAX_DOCUMENTS, "expected an array of strings").refine((list) => list.length > 0, {
    error: "expected at least one document",
  }),
  top_n: integerFrom(1).nullish(),
  return_documents: boolean.nullish(),
  truncate_prompt_tokens: truncation,
}, { error: "expected a JSON object" });
