/** @file Model files that hold a tokenizer, for tests. */

import type { ModelFile } from "../../src/formats/model_file.ts";

export const STORIES_MODEL = "../shared/models/stories260K.gguf";
export const SMOLLM_DIRECTORY = "../shared/models/smollm2-tokenizer";

/** How a tokenizer.json of the SentencePiece kind writes spaces, and takes bytes and spaces back, as converters write it for Llama 2. */
export const SENTENCE_PIECE_STEPS = {
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
} as const;

/** Whether a shared file is not there, so that its tests are skipped; says so. */
export function isMissing(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch {
    console.warn(`Skipping tests that need ${path}, which is missing`);
    return true;
  }
}

/** A model file that is nothing but metadata. */
export function fakeGguf(metadata: Readonly<Record<string, unknown>>): ModelFile {
  return {
    path: "test.gguf",
    format: "gguf",
    metadata,
    tensors: new Map(),
    tensorBytes: 0,
    readTensor: () => Promise.reject(new Error("A file without tensors")),
    close() {},
  };
}

let smollm: Promise<Record<string, unknown>> | undefined;

/** SmolLM2's tokenizer as the metadata of a GGUF file. */
export function smollmMetadata(): Promise<Record<string, unknown>> {
  return smollm ??= (async () => {
    const { model, added_tokens } = JSON.parse(await Deno.readTextFile(`${SMOLLM_DIRECTORY}/tokenizer.json`));
    const tokens: string[] = [];
    for (const [text, id] of Object.entries<number>(model.vocab)) tokens[id] = text;
    const kinds = new Int32Array(tokens.length).fill(1);
    for (const { id } of added_tokens) kinds[id] = 3;
    return {
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "smollm",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": kinds,
      "tokenizer.ggml.merges": model.merges,
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2,
    };
  })();
}

/** A SentencePiece tokenizer with `words` (in order of falling score) beside all bytes: `<unk>` 0, `<s>` 1, `</s>` 2. */
export function sentencePieceMetadata(
  words: readonly string[],
  extra: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...words];
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": Float32Array.from(tokens, (_, id) => id < 259 ? 0 : 258 - id),
    "tokenizer.ggml.token_type": Int32Array.from(tokens, (_, id) => id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    ...extra,
  };
}
