/**
 * @file A Hugging Face tokenizer as the metadata of a GGUF file.
 *
 * GGUF says by a name how texts are cut before tokens are merged, and knows SentencePiece by scores rather than merges. Neither
 * can be read off `tokenizer.json`: names are tried, scores follow the order of merges, and what comes out must encode a
 * text of many scripts as the original does.
 */
import type { ArchitectureName } from "../architecture/config.ts";
import type { GgufWriterValue } from "../formats/gguf_writer.ts";
import type { JsonObject } from "../formats/json_object.ts";
import { ModelFileError } from "../formats/model_file.ts";
import { ggufTokenizer } from "../text/gguf_tokenizer.ts";
import { PRE_TOKENIZERS } from "../text/pre_tokenizers.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { readVocabularyFile, type TokenizerFiles, tokenizerFromFiles, tokenText } from "../text/tokenizer_json.ts";
import { TOKEN_KINDS } from "../text/vocabulary.ts";

type Metadata = Record<string, GgufWriterValue>;

const PREFIX = "tokenizer.ggml.";

/** Of names that mean the same, these are what llama.cpp's own converter writes. */
const USUAL_NAMES = ["llama-bpe", "smollm", "gpt-2", "qwen2", "tekken"];

/** Below every score: no merge makes the token. */
const NEVER_MERGED = -1e9;

/**
 * The metadata.
 *
 * @param modelConfig the parsed `config.json`
 * @param vocabularySize rows of the embedding; ids that have no token are called unused
 * @throws {ModelFileError} when the tokenizer is damaged, or GGUF cannot say what it does
 */
export function tokenizerMetadata(
  files: TokenizerFiles,
  modelConfig: JsonObject,
  { architecture, vocabularySize }: { readonly architecture: ArchitectureName; readonly vocabularySize: number },
): Metadata {
  const original = tokenizerFromFiles(files, modelConfig);
  if (original.vocabularySize > vocabularySize) {
    throw new ModelFileError(
      `tokenizer.json has ${original.vocabularySize} tokens, but the embedding only ${vocabularySize} rows: expected a row ` +
        `for every token`,
    );
  }
  const { vocabulary, merges } = readVocabularyFile(files.tokenizer);
  const tokens = Array.from({ length: vocabularySize }, (_, id) => vocabulary.texts[id] || `[PAD${id}]`);
  const kinds = Int32Array.from(tokens, (_, id) => TOKEN_KINDS.indexOf(vocabulary.kinds[id] ?? "unused"));
  const unknown = vocabulary.kinds.indexOf("unknown");
  const padding = vocabulary.idOf(tokenText(files.tokenizerConfig.pad_token) ?? "");
  const [end, ...otherEnds] = original.endTokens;
  const shared: Metadata = {
    tokens,
    token_type: kinds,
    ...present({
      bos_token_id: original.beginToken ?? undefined,
      eos_token_id: end,
      eot_token_id: otherEnds[0],
      eom_token_id: otherEnds[1],
      unknown_token_id: unknown < 0 ? undefined : unknown,
      padding_token_id: padding,
    }),
    add_bos_token: original.addBeginToken,
    add_eos_token: addsEndToken(original),
  };
  const candidates = vocabulary.spelling === "sentencePiece"
    ? [{ model: "llama", ...shared, scores: scoresOf(tokens, merges), add_space_prefix: original.addSpacePrefix }]
    : preTokenizerNames(architecture).map((pre) => (
      { model: "gpt2", pre, ...shared, merges: merges.map((pair) => pair.join(" ")) }
    ));
  for (const candidate of candidates) {
    const metadata = Object.fromEntries(Object.entries(candidate).map(([key, value]) => [PREFIX + key, value]));
    if (isSame(ggufTokenizer(metadata), original)) return metadata;
  }
  throw new ModelFileError(
    "tokenizer.json cuts texts in a way that GGUF has no name for, or that Ebb does not know: serve the folder itself",
  );
}

/** Names of pre-tokenizers, one of each kind, most likely first. */
function preTokenizerNames(architecture: ArchitectureName): string[] {
  const likely = architecture.startsWith("qwen") ? ["qwen2", ...USUAL_NAMES] : USUAL_NAMES;
  const byMeaning = new Map<unknown, string>();
  for (const name of [...likely, ...PRE_TOKENIZERS.keys()]) {
    const meaning = PRE_TOKENIZERS.get(name);
    if (!byMeaning.has(meaning)) byMeaning.set(meaning, name);
  }
  return [...byMeaning.values()];
}

/** A score for every token: the sooner its merge comes, the higher. */
function scoresOf(
  tokens: readonly string[],
  merges: readonly (readonly [string, string])[],
): Float32Array<ArrayBuffer> {
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) {
    if (!ranks.has(left + right)) ranks.set(left + right, rank);
  }
  return Float32Array.from(tokens, (token) => ranks.has(token) ? 0 - ranks.get(token)! : NEVER_MERGED);
}

function addsEndToken(tokenizer: Tokenizer): boolean {
  const [bare, whole] = [false, true].map((addSpecial) => tokenizer.encode("a", { addSpecial }).length);
  return whole - bare > (tokenizer.addBeginToken ? 1 : 0);
}

/** Whether they encode the probe alike, and end by the same tokens. */
function isSame(candidate: Tokenizer, original: Tokenizer): boolean {
  const ends = new Set(candidate.endTokens);
  return original.endTokens.every((id) => ends.has(id)) &&
    PROBES.every((text) => String(candidate.encode(text)) === String(original.encode(text)));
}

/** Texts in which the known ways of cutting differ: digits, capitals, contractions, spaces, lines, scripts, signs, code. */
const PROBES: readonly string[] = [
  "Hello, world! It's we'll I'VE you'd don't DON'T 'tis l'été O'Neill's",
  "1 12 123 1234 12345 123456 1,234.56 3.14159e-10 0xFF ١٢٣ ४५६ ²³ Ⅷ",
  " leading, trailing  and   several    spaces\ttab\t\ttabs \u00a0nbsp\u3000ideographic ",
  "lines\nand\r\nmore\n\n\nlines \n \n  indented\n\tfor (let i = 0; i < 10; i++) { a[i] += `x${i}`; } // done\n",
  "camelCase PascalCase SCREAMING_SNAKE HTTPServer iPhone mRNA ÅngstrÖm ǅungla",
  "Zoë naïve façade e\u0301 n\u0303 ﬁ ß İstanbul ΑΒΓ αβγς Привет мир שלום עולם مرحبا بالعالم नमस्ते हिन्दी สวัสดี",
  "你好，世界。こんにちは世界、カタカナ 안녕하세요 한국어 北京2024年",
  "🦙🚀👩‍👩‍👧‍👦🇩🇪 ✓ → ∑∫√ €100 $5 50% #tag @user a/b\\c x^2 ~= |y| <b>&amp;</b> ... --- === ??!!",
  "https://example.com/a_b?c=d&e=%20f#g user@example.com C:\\temp\\x.txt",
];

function present(values: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}
