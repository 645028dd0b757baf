/** @file Small valid tokenizers of any vocabulary size, for the models of tiny_model.ts. */

import type { GgufWriterValue } from "../../src/formats/gguf_writer.ts";

/** Token types of GGUF's `tokenizer.ggml.token_type`. */
const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6;

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];
const LETTER_PAIRS = LETTERS.flatMap((first) => LETTERS.map((second) => [first, second] as const));

/**
 * A SentencePiece-style tokenizer: `<unk>`, `<s>`, `</s>`, the 256 bytes, then the word mark, letters and pairs of them.
 *
 * @param size of the vocabulary, 286 to 962 tokens
 */
export function tinySentencePiece(size: number): Record<string, GgufWriterValue> {
  const special = ["<unk>", "<s>", "</s>"];
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const pieces = ["▁", ...LETTERS, ...LETTER_PAIRS.map((pair) => pair.join(""))];
  const tokens = cut([...special, ...bytes, ...pieces], size);
  const types = tokens.map((_, id) => id === 0 ? UNKNOWN : id < 3 ? CONTROL : id < 259 ? BYTE : NORMAL);
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": Float32Array.from(tokens, (_, id) => id < 259 ? 0 : 258 - id),
    "tokenizer.ggml.token_type": Int32Array.from(types),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_bos_token": true,
    "tokenizer.ggml.add_eos_token": false,
  };
}

const END_OF_TEXT = "<|endoftext|>";

/**
 * A byte-level BPE vocabulary: the 256 bytes, merged pairs of letters, and last the end of text.
 *
 * @param size of the vocabulary, 257 to 933 tokens
 */
function byteLevelVocabulary(size: number): { tokens: string[]; merges: string[] } {
  const pairs = cut(LETTER_PAIRS, size - 257);
  return {
    tokens: [...byteCharacters(), ...pairs.map((pair) => pair.join("")), END_OF_TEXT],
    merges: pairs.map((pair) => pair.join(" ")),
  };
}

export function tinyByteLevelGguf(size: number): Record<string, GgufWriterValue> {
  const { tokens, merges } = byteLevelVocabulary(size);
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "qwen2",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": Int32Array.from(tokens, (token) => token === END_OF_TEXT ? CONTROL : NORMAL),
    "tokenizer.ggml.merges": merges,
    "tokenizer.ggml.eos_token_id": size - 1,
    "tokenizer.ggml.padding_token_id": size - 1,
    "tokenizer.ggml.add_bos_token": false,
  };
}

/** The same tokenizer as a Hugging Face `tokenizer.json`, with its `tokenizer_config.json`. */
export function tinyByteLevelJson(size: number): { "tokenizer.json": string; "tokenizer_config.json": string } {
  const { tokens, merges } = byteLevelVocabulary(size);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
  const endOfText = { content: END_OF_TEXT, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ id: size - 1, special: true, ...endOfText }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  const config = {
    add_prefix_space: false,
    added_tokens_decoder: { [size - 1]: { special: true, ...endOfText } },
    bos_token: null,
    eos_token: END_OF_TEXT,
    tokenizer_class: "GPT2Tokenizer",
  };
  return { "tokenizer.json": JSON.stringify(tokenizer), "tokenizer_config.json": JSON.stringify(config) };
}

/** GPT-2's printable stand-ins for the 256 bytes: Latin-1's own characters, and those from U+0100 for the rest. */
function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCodePoint(printable ? byte : next++);
  });
}

function cut<T>(items: readonly T[], size: number): T[] {
  if (size < 0 || size > items.length) throw new RangeError(`A tiny tokenizer cannot have ${size} of its tokens`);
  return items.slice(0, size);
}
