/** @file The bodies of `POST /tokenize` and `POST /detokenize`: vLLM's fields, and llama-server's. */
import { z } from "zod";
import { boolean, text, tokenIds } from "./checks.ts";

/** More than any context has. */
const MAX_TOKENS = 4_000_000;

/** `POST /tokenize`. */
export const tokenizeRequest = z.object({
  model: text.nullish(),
  prompt: text.nullish().describe("The text; llama-server calls it content"),
  content: text.nullish(),
  add_special_tokens: boolean.nullish().describe(
    "Whether the tokens that go around texts are added; default true, for content false",
  ),
  add_special: boolean.nullish(),
  parse_special: boolean.nullish().describe("Whether special tokens that the text spells are tokens; default true"),
  return_token_strs: boolean.nullish().describe("Adds token_strs, the text of each token"),
  with_pieces: boolean.nullish().describe("Gives each token as {id, piece}"),
}, { error: "expected a JSON object" }).refine(
  ({ prompt, content }) => (typeof prompt === "string") !== (typeof content === "string"),
  { path: ["prompt"], error: "expected one text, as prompt or as content" },
);

/** `POST /detokenize`. */
export const detokenizeRequest = z.object({
  model: text.nullish(),
  tokens: tokenIds(MAX_TOKENS),
}, { error: "expected a JSON object" });
