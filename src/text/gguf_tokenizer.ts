/**
 * @file Tokenizers from the metadata of a GGUF file.
 *
 * Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer. What it leaves open (defaults of
 * absent keys, which tokens end a generation) is done as llama.cpp does it.
 */

import { ModelFileError } from "../formats/model_file.ts";
import { endTokens } from "./end_tokens.ts";
import { acceptedBy, type AddedToken, AddedTokenFinder } from "./added_tokens.ts";
import { infillingTokens } from "./infilling.ts";
import { LibraryEncoder, type TokenizerJson } from "./library_encoder.ts";
import { splitMerge } from "./merges.ts";
import { PRE_TOKENIZERS, type PreTokenizer } from "./pre_tokenizers.ts";
import { SentencePieceSegmenter } from "./sentencepiece.ts";
import type { InfillingTokens, Tokenizer } from "./tokenizer.ts";
import { isByteTokenText, type Spelling, TOKEN_KINDS, type TokenKind, Vocabulary } from "./vocabulary.ts";
import { type TokenizerParts, VocabularyTokenizer } from "./vocabulary_tokenizer.ts";

type Metadata = Readonly<Record<string, unknown>>;

/** Told what is odd about a file that is read all the same. */
export type Warn = (message: string) => void;

const PREFIX = "tokenizer.ggml.";

/**
 * The tokenizer that a GGUF file's metadata describes.
 *
 * @throws {ModelFileError} when it is missing, damaged or of an unknown kind; the message names the key
 */
export function ggufTokenizer(metadata: Metadata, warn: Warn = () => {}): Tokenizer {
  const model = metadata[PREFIX + "model"];
  switch (model) {
    case "llama":
      return sentencePieceTokenizer(metadata, warn);
    case "gpt2":
      return byteLevelTokenizer(metadata, warn);
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
  readonly infilling: InfillingTokens | null;
  readonly addBeginToken: boolean;
  readonly addEndToken: boolean;
}

function sentencePieceTokenizer(metadata: Metadata, warn: Warn): Tokenizer {
  const { vocabulary, special } = readVocabulary(metadata, warn, "sentencePiece", { begin: 1, end: 2, addBegin: true });
  const scores = readArray(metadata, "scores", vocabulary.size, isFiniteNumber, "finite numbers");
  const unknownToken = readTokenId(metadata, "unknown_token_id", vocabulary.size, warn) ?? 0;
  const addSpacePrefix = readFlag(metadata, "add_space_prefix") ?? true;

  const segmenter = new SentencePieceSegmenter(vocabulary, scores ?? new Float32Array(vocabulary.size), unknownToken);
  const finder = new AddedTokenFinder(addedTokens(vocabulary));
  return new VocabularyTokenizer({
    ...special,
    vocabulary,
    addSpacePrefix,
    encodeText(text, options) {
      const tokens: number[] = [];
      for (const section of finder.split(text, acceptedBy(options))) {
        if ("id" in section) tokens.push(section.id);
        else segmenter.segment((addSpacePrefix ? "▁" : "") + section.text.replaceAll(" ", "▁"), tokens);
      }
      return tokens;
    },
  });
}

function byteLevelTokenizer(metadata: Metadata, warn: Warn): Tokenizer {
  const preTokenizer = readPreTokenizer(metadata);
  const { vocabulary, special } = readVocabulary(metadata, warn, "byteLevel", {
    begin: null,
    end: null,
    addBegin: preTokenizer.addBeginToken ?? false,
  });
  const { texts } = vocabulary;
  const { ignoreMerges = false } = preTokenizer;
  const merges = readArray(metadata, "merges", undefined, (value) => typeof value === "string", "strings");
  if (merges === undefined) throw missing("merges");

  return new VocabularyTokenizer({
    ...special,
    vocabulary,
    addSpacePrefix: false,
    encodeText: byLibrary({
      added_tokens: addedTokens(vocabulary),
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
        // A whole word may be a token without merges: but not a special one, which no ordinary text spells.
        vocab: Object.fromEntries(
          texts.map((text) => [text, vocabulary.idOf(text)!] as const)
            .filter(([, id]) => !(ignoreMerges && vocabulary.isSpecial(id))),
        ),
        merges: merges.map((merge, i) => splitMerge(merge, vocabulary, `${PREFIX}merges[${i}]`)),
        ignore_merges: ignoreMerges,
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
  warn: Warn,
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

  const tokenId = (key: string) => readTokenId(metadata, key, texts.length, warn);
  const within = (id: number | null) => id !== null && id < texts.length ? id : null;
  const beginToken = tokenId("bos_token_id") ?? within(defaults.begin);
  const named = [
    tokenId("eos_token_id") ?? within(defaults.end),
    ...["eot", "eom", "fim_pad", "fim_rep", "fim_sep"].map((name) => tokenId(`${name}_token_id`)),
  ];
  const ends = endTokens(named.filter((id) => id != null), (text) => ids.get(text));
  // The second names are those of files from before 2024.
  const infilling = infillingTokens({
    prefix: tokenId("fim_pre_token_id") ?? tokenId("prefix_token_id"),
    suffix: tokenId("fim_suf_token_id") ?? tokenId("suffix_token_id"),
    middle: tokenId("fim_mid_token_id") ?? tokenId("middle_token_id"),
  }, (text) => ids.get(text));
  // Converters have been known to call these ordinary text.
  for (const id of [...ends, ...Object.values(infilling ?? {})]) kinds[id] = "control";

  const addBegin = readFlag(metadata, "add_bos_token");
  if (addBegin && beginToken === null && metadata[PREFIX + "bos_token_id"] === undefined) {
    throw new ModelFileError(`${PREFIX}add_bos_token is true, but ${PREFIX}bos_token_id is missing`);
  }
  return {
    vocabulary: new Vocabulary(texts, kinds, spelling),
    special: {
      beginToken,
      endTokens: ends,
      infilling,
      addBeginToken: addBegin ?? defaults.addBegin,
      addEndToken: readFlag(metadata, "add_eos_token") ?? false,
    },
  };
}

function byLibrary(json: TokenizerJson): TokenizerParts["encodeText"] {
  const encoder = new LibraryEncoder(json);
  return (text, options) => encoder.encode(text, options);
}

function addedTokens(vocabulary: Vocabulary): AddedToken[] {
  return vocabulary.addedTokens.map((id) => ({
    id,
    content: vocabulary.texts[id],
    special: vocabulary.isSpecial(id),
  }));
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

/**
 * A token id of the metadata; undefined where it is absent, -1 (which some converters write for "none"), or beyond the
 * vocabulary, which is warned about: such files are common, and work without the token.
 */
function readTokenId(metadata: Metadata, key: string, vocabularySize: number, warn: Warn): number | undefined {
  const value = metadata[PREFIX + key];
  if (value === undefined || value === -1 || value === 0xffffffff) return undefined;
  const expected = `expected a token id below ${vocabularySize}, the vocabulary's size`;
  if (typeof value === "bigint" || (Number.isInteger(value) && value as number >= vocabularySize)) {
    warn(`${PREFIX}${key} is ${String(value)}, which is ignored: ${expected}`);
    return undefined;
  }
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
    throw new ModelFileError(`${PREFIX}${key} is ${String(value)}: ${expected}`);
  }
  return value;
}
