/** @file Tokenizers from a Hugging Face directory: `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`. */

import { join } from "node:path";
import { isJsonObject, type JsonObject, readJsonObject } from "../formats/json_object.ts";
import { ModelFileError } from "../formats/model_file.ts";
import { endTokens } from "./end_tokens.ts";
import { infillingTokens } from "./infilling.ts";
import { LibraryEncoder, type TokenizerJson } from "./library_encoder.ts";
import { splitMerge } from "./merges.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { isByteTokenText, type Spelling, type TokenKind, Vocabulary } from "./vocabulary.ts";
import { VocabularyTokenizer } from "./vocabulary_tokenizer.ts";

/** The parsed files; absent optional ones are empty objects. */
export interface TokenizerFiles {
  readonly tokenizer: JsonObject;
  readonly tokenizerConfig: JsonObject;
  readonly generationConfig: JsonObject;
}

/** No real vocabulary comes near it; a hostile id must not make us allocate gigabytes. */
const MAX_TOKEN_ID = 2 ** 22;

/**
 * Reads the tokenizer's files of a directory.
 *
 * @throws {ModelFileError} when `tokenizer.json` is missing or a file is not a JSON object
 */
export async function readTokenizerFiles(directory: string): Promise<TokenizerFiles> {
  const tokenizer = await readJsonObject(join(directory, "tokenizer.json"));
  if (tokenizer === undefined) {
    throw new ModelFileError(
      `${directory} has no tokenizer.json. Ebb does not read tokenizer.model; transformers writes a tokenizer.json with ` +
        `AutoTokenizer.from_pretrained(...).save_pretrained(...)`,
    );
  }
  return {
    tokenizer,
    tokenizerConfig: await readJsonObject(join(directory, "tokenizer_config.json")) ?? {},
    generationConfig: await readJsonObject(join(directory, "generation_config.json")) ?? {},
  };
}

/**
 * The tokenizer that a directory's files describe.
 *
 * @param modelConfig the parsed `config.json`: it names begin and end tokens where the tokenizer's own files do not
 * @throws {ModelFileError} when the tokenizer is damaged or of a kind that Ebb does not know; the message names the field
 */
export function tokenizerFromFiles(files: TokenizerFiles, modelConfig: JsonObject): Tokenizer {
  const { json, decoder, vocabulary, merges } = readVocabularyFile(files.tokenizer);
  const encoder = new LibraryEncoder({ ...json, model: { ...json.model as JsonObject, merges } });

  const { tokenizerConfig, generationConfig } = files;
  const beginToken = vocabulary.idOf(tokenText(tokenizerConfig.bos_token) ?? "") ??
    tokenIds(generationConfig.bos_token_id, vocabulary)[0] ?? tokenIds(modelConfig.bos_token_id, vocabulary)[0] ?? null;
  const isAdded = (id: number | undefined) => id !== undefined && vocabulary.kinds[id] !== "normal" ? id : undefined;
  const ends = endTokens(
    [
      ...tokenIds(vocabulary.idOf(tokenText(tokenizerConfig.eos_token) ?? ""), vocabulary),
      ...tokenIds(generationConfig.eos_token_id, vocabulary),
      ...tokenIds(modelConfig.eos_token_id, vocabulary),
    ],
    (text) => isAdded(vocabulary.idOf(text)),
  );
  const template = templateTokens(json.post_processor, vocabulary);
  return new VocabularyTokenizer({
    vocabulary,
    beginToken,
    endTokens: ends,
    infilling: infillingTokens({}, (text) => isAdded(vocabulary.idOf(text))),
    addBeginToken: (tokenizerConfig.add_bos_token as boolean | undefined) ??
      (beginToken !== null && template.before.includes(beginToken)),
    addEndToken: (tokenizerConfig.add_eos_token as boolean | undefined) ?? template.after.includes(ends[0]),
    addSpacePrefix: decoder.stripsSpace,
    written: writtenTokens(json, encoder),
    encodeText: (text, options) => encoder.encode(text, options),
  });
}

/**
 * What `tokenizer.json` holds.
 *
 * @throws {ModelFileError} as {@linkcode tokenizerFromFiles} does
 */
export function readVocabularyFile(tokenizer: JsonObject) {
  const json = readTokenizerJson(tokenizer);
  const decoder = readDecoder(json.decoder);
  const vocabulary = readVocabulary(json, decoder.spelling);
  const model = json.model as { merges: readonly (string | readonly string[])[] };
  const merges = model.merges.map((merge, i) => splitMerge(merge, vocabulary, `model.merges[${i}]`));
  return { json, decoder, vocabulary, merges };
}

/** Tokens that are looked for in normalized text, as they are written there: a space may have come to them. */
function writtenTokens({ added_tokens }: TokenizerJson, encoder: LibraryEncoder): Map<number, string> {
  const written = added_tokens.filter(({ normalized }) => normalized).map(({ id, content }) =>
    [id, encoder.normalize(content).replaceAll("▁", " "), content] as const
  );
  return new Map(written.filter(([, text, content]) => text !== content).map(([id, text]) => [id, text]));
}

function readTokenizerJson(value: JsonObject): TokenizerJson {
  const { model } = value;
  if (!isJsonObject(model)) throw new ModelFileError("tokenizer.json has no model: expected an object");
  // Files of before 2020 leave the type out.
  if (model.type !== undefined && model.type !== "BPE") {
    throw new ModelFileError(`Unknown tokenizer.json model.type = ${JSON.stringify(model.type)}: Ebb reads "BPE"`);
  }
  if (!isJsonObject(model.vocab)) throw new ModelFileError("tokenizer.json model.vocab is missing: expected an object");
  if (!Array.isArray(model.merges)) {
    throw new ModelFileError("tokenizer.json model.merges is missing: expected an array");
  }
  const addedTokens = value.added_tokens ?? [];
  if (!Array.isArray(addedTokens)) throw new ModelFileError("tokenizer.json added_tokens: expected an array");
  addedTokens.forEach((token, i) => {
    if (!isJsonObject(token) || typeof token.content !== "string" || token.content === "") {
      throw new ModelFileError(`tokenizer.json added_tokens[${i}].content: expected a text`);
    }
  });
  return {
    added_tokens: addedTokens.map((token) => ({ ...token, special: token.special === true })),
    normalizer: value.normalizer ?? null,
    pre_tokenizer: value.pre_tokenizer ?? null,
    post_processor: value.post_processor ?? null,
    decoder: value.decoder ?? null,
    model: { ...model, type: "BPE" },
  };
}

/** How tokens are written, from the decoder that the file asks for, and whether a text's first space is dropped. */
function readDecoder(decoder: unknown): { spelling: Spelling; stripsSpace: boolean } {
  // deno-lint-ignore no-explicit-any -- a tree of JSON; unknown shapes end in the error below
  const steps: any[] = isJsonObject(decoder) && decoder.type === "Sequence"
    ? (decoder as any).decoders ?? []
    : [decoder];
  const step = (type: string) => steps.find((step) => step?.type === type);
  if (step("ByteLevel")) return { spelling: "byteLevel", stripsSpace: false };
  const metaspace = step("Metaspace");
  if (metaspace) {
    const scheme = metaspace.prepend_scheme ?? (metaspace.add_prefix_space === false ? "never" : "always");
    return { spelling: "sentencePiece", stripsSpace: scheme !== "never" };
  }
  if (step("ByteFallback") || step("Replace")) {
    return { spelling: "sentencePiece", stripsSpace: step("Strip")?.start > 0 };
  }
  throw new ModelFileError(
    `Unknown tokenizer.json decoder.type = ${JSON.stringify(steps[0]?.type)}: Ebb reads "ByteLevel", "Metaspace" and ` +
      `sequences with "ByteFallback"`,
  );
}

function readVocabulary(json: TokenizerJson, spelling: Spelling): Vocabulary {
  const model = json.model as { vocab: JsonObject; unk_token?: string; byte_fallback?: boolean };
  const texts: string[] = [];
  const kinds: TokenKind[] = [];
  const place = (text: string, id: unknown, kind: TokenKind, field: string) => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > MAX_TOKEN_ID) {
      throw new ModelFileError(`${field} is ${JSON.stringify(id)}: expected a token id from 0 to ${MAX_TOKEN_ID}`);
    }
    if (texts[id] !== undefined && texts[id] !== text) {
      throw new ModelFileError(
        `${field} is ${id}, which is the id of ${JSON.stringify(texts[id])} already: expected an id of its own`,
      );
    }
    texts[id] = text;
    kinds[id] = kind;
  };
  for (const [text, id] of Object.entries(model.vocab)) {
    const isByte = model.byte_fallback && isByteTokenText(text);
    const kind = isByte ? "byte" : text === model.unk_token ? "unknown" : "normal";
    place(text, id, kind, `tokenizer.json model.vocab[${JSON.stringify(text)}]`);
  }
  json.added_tokens.forEach(({ content, id, special }, i) => {
    place(content, id, special ? "control" : "userDefined", `tokenizer.json added_tokens[${i}].id`);
  });
  if (texts.length === 0) throw new ModelFileError("tokenizer.json model.vocab is empty: expected the vocabulary");
  for (let id = 0; id < texts.length; id++) {
    if (texts[id] === undefined) {
      texts[id] = "";
      kinds[id] = "unused";
    }
  }
  return new Vocabulary(texts, kinds, spelling);
}

/** The special tokens that a post-processor's template puts before and after a text. */
function templateTokens(postProcessor: unknown, vocabulary: Vocabulary): { before: number[]; after: number[] } {
  const before: number[] = [];
  const after: number[] = [];
  // deno-lint-ignore no-explicit-any -- a tree of JSON; unknown shapes add no tokens
  const visit = (node: any) => {
    if (node?.type === "Sequence") node.processors?.forEach(visit);
    if (node?.type !== "TemplateProcessing") return;
    let side = before;
    for (const item of node.single ?? []) {
      if ("Sequence" in item) side = after;
      else side.push(...tokenIds(vocabulary.idOf(String(item.SpecialToken?.id)), vocabulary));
    }
  };
  visit(postProcessor);
  return { before, after };
}

/** A token in `tokenizer_config.json`: its text, or an object that holds it. */
export function tokenText(value: unknown): string | undefined {
  const text = isJsonObject(value) ? value.content : value;
  return typeof text === "string" ? text : undefined;
}

/** One id or a list of them; what is not an id of the vocabulary is left out. */
function tokenIds(value: unknown, vocabulary: Vocabulary): number[] {
  return [value].flat().filter((id): id is number => typeof id === "number" && vocabulary.texts[id] !== undefined);
}
