/**
 * @file How byte-level BPE tokenizers cut a text into words before merging, by the name in `tokenizer.ggml.pre`.
 *
 * The names are llama.cpp's; the patterns are facts of the models' own `tokenizer.json` files. A text is cut by the
 * first pattern, each of the pieces (matches and what lies between them) by the second, and so on. Merges never cross
 * a cut.
 */

/** How one family of tokenizers prepares a text. */
export interface PreTokenizer {
  /** Regular expressions, applied one after the other. */
  readonly patterns: readonly string[];
  /** A word that is a token as a whole is that token, whatever the merges say. Default: false. */
  readonly ignoreMerges?: boolean;
  /** Whether a begin token is added where the file does not say. Default: false. */
  readonly addBeginToken?: boolean;
}

const CONTRACTIONS = String.raw`'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])`;
const SPACES = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;

/** GPT-2's pattern, which most others descend from. */
export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const LLAMA3_PATTERN = String
  .raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|${SPACES}`;
const QWEN2_PATTERN = String
  .raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|${SPACES}`;
const SEED_CODER_PATTERN = String
  .raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|${SPACES}`;
const BAILING_PATTERN = String
  .raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`;
// Words change at a change of case: any run of capitals, then any run of small letters.
const CAPITALS = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const SMALL_LETTERS = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const TEKKEN_PATTERN = String
  .raw`[^\r\n\p{L}\p{N}]?${CAPITALS}*${SMALL_LETTERS}+|[^\r\n\p{L}\p{N}]?${CAPITALS}+${SMALL_LETTERS}*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${SPACES}`;
const DEEPSEEK3_PATTERN = String
  .raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_\x60{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${SPACES}`;

const DEFAULT: PreTokenizer = {
  patterns: [String.raw`[\p{P}$+<=>\^~|]+`, GPT2_PATTERN, String.raw`\p{N}+`, "[0-9][0-9][0-9]"],
};
const GPT2: PreTokenizer = { patterns: [GPT2_PATTERN] };
const SINGLE_DIGITS: PreTokenizer = { patterns: [String.raw`\p{N}`, GPT2_PATTERN] };
const LLAMA3: PreTokenizer = { patterns: [LLAMA3_PATTERN], ignoreMerges: true, addBeginToken: true };
const LLAMA3_BY_MERGES: PreTokenizer = { patterns: [LLAMA3_PATTERN] };
const QWEN2: PreTokenizer = { patterns: [QWEN2_PATTERN] };
const BAILING: PreTokenizer = { patterns: [BAILING_PATTERN] };

/** Every known value of `tokenizer.ggml.pre`. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", DEFAULT],
  ["gpt-2", GPT2],
  ["phi-2", GPT2],
  ["mpt", GPT2],
  ["olmo", GPT2],
  ["jais", GPT2],
  ["trillion", GPT2],
  ["exaone4", GPT2],
  ["gigachat", GPT2],
  ["a.x-4.0", GPT2],
  ["mellum", GPT2],
  ["granite-docling", GPT2],
  ["smollm", SINGLE_DIGITS],
  ["starcoder", SINGLE_DIGITS],
  ["refact", SINGLE_DIGITS],
  ["command-r", SINGLE_DIGITS],
  ["codeshell", SINGLE_DIGITS],
  ["exaone", SINGLE_DIGITS],
  ["minerva-7b", SINGLE_DIGITS],
  ["llama3", LLAMA3],
  ["llama-v3", LLAMA3],
  ["llama-bpe", LLAMA3],
  ["falcon3", LLAMA3],
  ["falcon-h1", LLAMA3],
  ["pixtral", LLAMA3],
  ["midm-2.0", LLAMA3],
  ["lfm2", LLAMA3],
  ["dbrx", LLAMA3_BY_MERGES],
  ["smaug-bpe", LLAMA3_BY_MERGES],
  ["glm4", LLAMA3_BY_MERGES],
  ["chatglm-bpe", LLAMA3_BY_MERGES],
  ["qwen2", QWEN2],
  ["deepseek-r1-qwen", QWEN2],
  ["megrez", QWEN2],
  ["stablelm2", QWEN2],
  ["hunyuan", QWEN2],
  ["solar-open", QWEN2],
  ["grok-2", QWEN2],
  ["bailingmoe", BAILING],
  ["bailingmoe2", BAILING],
  ["llada-moe", BAILING],
  ["seed-coder", { patterns: [SEED_CODER_PATTERN] }],
  ["tekken", { patterns: [TEKKEN_PATTERN], ignoreMerges: true, addBeginToken: true }],
  ["falcon", { patterns: [String.raw`[\p{P}$+<=>\^~|\x60]+`, GPT2_PATTERN, "[0-9][0-9][0-9]"] }],
  ["deepseek-coder", {
    patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, "[一-龥ࠀ-一가-퟿]+", String.raw`\p{N}`],
  }],
  ["deepseek-v3", { patterns: [String.raw`\p{N}{1,3}`, "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3_PATTERN] }],
]);
