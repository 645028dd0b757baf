/**
 * @file Tokenizers from the metadata of a GGUF file.
 *
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer. What it leaves open (defaults of
 * absent keys, which tokens end a generation) is done as llama.cpp does it.
 */

import { ModelFileError } from "../formats/model_file.ts";
import { endTokens } from "./end_tokens.ts";
import { libraryEncoder } from "./library_encoder.ts";
import { splitMerge } from "./merges.ts";
import { PRE_TOKENIZERS, type PreTokenizer } from "./pre_tokenizers.ts";
import { SentencePieceSegmenter } from "./sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { isByteTokenText, type Spelling, TOKEN_KINDS, type TokenKind, Vocabulary } from "./vocabulary.ts";
import { VocabularyTokenizer } from "./vocabulary_tokenizer.ts";

type Metadata = Readonly<Record<string, unknown>>;

const PREFIX = "tokenizer.ggml.";

/**
 * The tokenizer that a GGUF file's metadata describes.
 *
 * @throws {ModelFileError} when it is missing, damaged or of an unknown kind; the message names the key
 */
export function ggufTokenizer(metadata: Metadata): Tokenizer {
  const model = metadata[PREFIX + "model"];
  switch (model) {
    case "llama":
      return sentencePieceTokenizer(metadata);
    case "gpt2":
      return byteLevelTokenizer(metadata);
    case undefined:
      throw new ModelFileError(`The file has no tokenizer: the key ${PREFIX}model is missing`);
    default:
      throw new ModelFileError(
        `Unknown tokenizer ${PREFIX}model = ${JSON.stringify(model)}: Ebb reads "llama" (SentencePiece) and "gpt2" ` +
          `(byte-level BPE)`,
      );
  }
}

/** Ids and flags that both kinds of tokenizer have. */
interface SpecialTokens {
  readonly beginToken: number | null;
  readonly endTokens: readonly number[];
  readonly addBeginToken: boolean;
  readonly addEndToken: boolean;
}

function sentencePieceTokenizer(metadata: Metadata): Tokenizer {
  const { vocabulary, special } = readVocabulary(metadata, "sentencePiece", { begin: 1, end: 2, addBegin: true });
  const scores = readArray(metadata, "scores", vocabulary.size, isFiniteNumber, "finite numbers");
  if (scores === undefined) throw missing("scores");
  const unknownToken = readTokenId(metadata, "unknown_token_id", vocabulary.size) ?? 0;
  const addSpacePrefix = readFlag(metadata, "add_space_prefix") ?? true;

  const segmenter = new SentencePieceSegmenter(vocabulary, scores, unknownToken);
  const userTokens = matcher(vocabulary, ["userDefined"]);
  const allTokens = matcher(vocabulary, ["userDefined", "control", "unknown"]);
  return new VocabularyTokenizer({
    ...special,
    vocabulary,
    addSpacePrefix,
    encodeText(text, parseSpecial) {
      const tokens: number[] = [];
      let afterSpecial = true;
      for (const part of splitAround(text, parseSpecial ? allTokens : userTokens)) {
        if (part.isToken) tokens.push(vocabulary.idOf(part.text)!);
        else segmenter.segment((addSpacePrefix && afterSpecial ? "▁" : "") + part.text.replaceAll(" ", "▁"), tokens);
        afterSpecial = part.isToken;
      }
      return tokens;
    },
  });
}

function byteLevelTokenizer(metadata: Metadata): Tokenizer {
  const preTokenizer = readPreTokenizer(metadata);
  const { vocabulary, special } = readVocabulary(metadata, "byteLevel", {
    begin: null,
    end: null,
    addBegin: preTokenizer.addBeginToken ?? false,
  });
  const { texts, kinds } = vocabulary;
  const merges = readArray(metadata, "merges", undefined, (value) => typeof value === "string", "strings");
  if (merges === undefined) throw missing("merges");

  const addedTokens = texts.flatMap((content, id) =>
    kinds[id] === "userDefined" || vocabulary.isSpecial(id)
      ? [{ id, content, special: vocabulary.isSpecial(id), normalized: false }]
      : []
  );
  return new VocabularyTokenizer({
    ...special,
    vocabulary,
    addSpacePrefix: false,
    encodeText: libraryEncoder({
      added_tokens: addedTokens,
      normalizer: null,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          ...preTokenizer.patterns.map((pattern) => ({
            type: "Split",
            pattern: { Regex: pattern },
            behavior: "Isolated",
            invert: false,
          })),
          { type: "ByteLevel", add_prefix_space: false, use_regex: false },
        ],
      },
      post_processor: null,
      decoder: null,
      model: {
        type: "BPE",
        vocab: Object.fromEntries(texts.map((text) => [text, vocabulary.idOf(text)!])),
        merges: merges.map((merge, i) => splitMerge(merge, vocabulary, `${PREFIX}merges[${i}]`)),
        ignore_merges: preTokenizer.ignoreMerges ?? false,
      },
    }),
  });
}

function readPreTokenizer(metadata: Metadata): PreTokenizer {
  // Files from before May 2024 do not say; for those of Llama 3 and its like this is wrong, but not to be known.
  const name = metadata[PREFIX + "pre"] ?? "default";
  const preTokenizer = PRE_TOKENIZERS.get(String(name));
  if (preTokenizer === undefined) {
    throw new ModelFileError(
      `Unknown pre-tokenizer ${PREFIX}pre = ${JSON.stringify(name)}: expected one of ${
        [...PRE_TOKENIZERS.keys()].join(", ")
      }`,
    );
  }
  return preTokenizer;
}

/** The vocabulary and its special tokens; `defaults` hold where the file does not say. */
function readVocabulary(
  metadata: Metadata,
  spelling: Spelling,
  defaults: { begin: number | null; end: number | null; addBegin: boolean },
): { vocabulary: Vocabulary; special: SpecialTokens } {
  const tokens = readArray(metadata, "tokens", undefined, (value) => typeof value === "string", "strings");
  if (tokens === undefined) throw missing("tokens");
  if (tokens.length === 0) throw new ModelFileError(`${PREFIX}tokens is empty: expected the model's vocabulary`);
  const ids = new Map<string, number>();
  const texts = tokens.map((token, id) => {
    // Files that lack a token's text leave it empty.
    const text = token === "" ? `[EMPTY_${id}]` : token;
    const first = ids.get(text);
    if (first !== undefined) {
      throw new ModelFileError(`${PREFIX}tokens has ${JSON.stringify(text)} twice, as ids ${first} and ${id}`);
    }
    ids.set(text, id);
    return text;
  });

  const types = readArray(metadata, "token_type", texts.length, isFiniteNumber, "numbers");
  const kinds: TokenKind[] = types === undefined
    ? texts.map(() => "normal")
    : types.map((type) => TOKEN_KINDS[type] ?? "undefined");
  const damagedByte = kinds.findIndex((kind, id) => kind === "byte" && !isByteTokenText(texts[id]));
  if (damagedByte >= 0) {
    throw new ModelFileError(
      `${PREFIX}tokens[${damagedByte}] is ${JSON.stringify(texts[damagedByte])}, but its type is byte: expected a ` +
        `text such as "<0x0A>"`,
    );
  }

  const tokenId = (key: string) => readTokenId(metadata, key, texts.length);
  const within = (id: number | null) => id !== null && id < texts.length ? id : null;
  const beginToken = tokenId("bos_token_id") ?? within(defaults.begin);
  const named = [
    tokenId("eos_token_id") ?? within(defaults.end),
    ...["eot", "eom", "fim_pad", "fim_rep", "fim_sep"].map((name) => tokenId(`${name}_token_id`)),
  ];
  const ends = endTokens(named.filter((id) => id != null), (text) => ids.get(text));
  // Converters have been known to call these ordinary text.
  for (const id of ends) kinds[id] = "control";

  const addBegin = readFlag(metadata, "add_bos_token");
  if (addBegin && beginToken === null) {
    throw new ModelFileError(`${PREFIX}add_bos_token is true, but ${PREFIX}bos_token_id is missing`);
  }
  return {
    vocabulary: new Vocabulary(texts, kinds, spelling),
    special: {
      beginToken,
      endTokens: ends,
      addBeginToken: addBegin ?? defaults.addBegin,
      addEndToken: readFlag(metadata, "add_eos_token") ?? false,
    },
  };
}

/** One expression for the texts of all tokens of some kinds, longest first; undefined where there are none. */
function matcher(vocabulary: Vocabulary, kinds: readonly TokenKind[]): RegExp | undefined {
  const texts = vocabulary.texts.filter((_, id) => kinds.includes(vocabulary.kinds[id]));
  if (texts.length === 0) return undefined;
  texts.sort((a, b) => b.length - a.length);
  return new RegExp(texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "gu");
}

/** The text cut around the matches of `tokens`; no part is empty. */
function* splitAround(text: string, tokens: RegExp | undefined): Generator<{ text: string; isToken: boolean }> {
  let end = 0;
  for (const match of tokens === undefined ? [] : text.matchAll(tokens)) {
    if (match.index > end) yield { text: text.slice(end, match.index), isToken: false };
    yield { text: match[0], isToken: true };
    end = match.index + match[0].length;
  }
  if (end < text.length) yield { text: text.slice(end), isToken: false };
}

function missing(key: string): ModelFileError {
  return new ModelFileError(`The file has no complete tokenizer: the key ${PREFIX}${key} is missing`);
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

/** An array of the metadata, its length and elements checked; undefined where it is absent. */
function readArray<T>(
  metadata: Metadata,
  key: string,
  length: number | undefined,
  isElement: (value: unknown) => value is T,
  elements: string,
): T[] | undefined {
  const value = metadata[PREFIX + key];
  if (value === undefined) return undefined;
  const array = ArrayBuffer.isView(value) ? Array.from(value as unknown as ArrayLike<unknown>) : value;
  if (!Array.isArray(array)) {
    throw new ModelFileError(`${PREFIX}${key} is a ${typeof value}: expected an array of ${elements}`);
  }
  if (length !== undefined && array.length !== length) {
    throw new ModelFileError(
      `${PREFIX}${key} has ${array.length} entries: expected ${length}, one for each entry of ${PREFIX}tokens`,
    );
  }
  const wrong = array.findIndex((element) => !isElement(element));
  if (wrong >= 0) {
    throw new ModelFileError(`${PREFIX}${key}[${wrong}] is ${String(array[wrong])}: expected ${elements}`);
  }
  return array;
}

function readFlag(metadata: Metadata, key: string): boolean | undefined {
  const value = metadata[PREFIX + key];
  if (value === undefined || typeof value === "boolean") return value;
  throw new ModelFileError(`${PREFIX}${key} is ${JSON.stringify(value)}: expected true or false`);
}

/** A token id of the metadata; undefined where it is absent or, as some converters write "none", -1. */
function readTokenId(metadata: Metadata, key: string, vocabularySize: number): number | undefined {
  const value = metadata[PREFIX + key];
  if (value === undefined || value === -1 || value === 0xffffffff) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value >= vocabularySize) {
    throw new ModelFileError(
      `${PREFIX}${key} is ${String(value)}: expected a token id below ${vocabularySize}, the vocabulary's size`,
    );
  }
  return value;
}
