/**
 * @file The embedded model's tokenizer: learns it, and encodes training text exactly as the server does.
 *
 * `deno run -A tools/train/tokenizer.ts PROSE.txt... > OUT/tokenizer.json`
 */
import { generateTask, TASK_FAMILY_NAMES } from "../../src/eval/tasks/families.ts";
import * as lists from "../../src/eval/tasks/words.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { type LearntVocabulary, learnVocabulary, splitWords } from "./bpe.ts";

const VOCABULARY_SIZE = 2048;

/** Every message is one turn; the model's answer ends with the end token. */
export const CHAT_TEMPLATE = "{{ bos_token }}{% for message in messages %}" +
  "{% if message.role == 'assistant' %}<|assistant|>{{ message.content }}{{ eos_token }}" +
  "{% else %}<|user|>{{ message.content }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** A tokenizer as the trainer keeps it between its steps. */
export interface TokenizerFile {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
  readonly types: readonly number[];
}

/** GGUF metadata of the tokenizer. */
export function tokenizerMetadata({ tokens, scores, types }: TokenizerFile) {
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.pre": "default",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": Float32Array.from(scores),
    "tokenizer.ggml.token_type": Int32Array.from(types),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_bos_token": true,
    "tokenizer.ggml.add_eos_token": false,
    "tokenizer.ggml.add_space_prefix": true,
    "tokenizer.chat_template": CHAT_TEMPLATE,
  };
}

/** Encodes texts word by word and remembers every word, which is fast and exact: no token spans two words. */
export class WordCachedEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #words = new Map<string, readonly number[]>();

  constructor(file: TokenizerFile) {
    this.#tokenizer = ggufTokenizer(tokenizerMetadata(file));
  }

  /** The tokens of a text that follows a space, a special token or the start; without begin token. */
  encode(text: string): number[] {
    const tokens: number[] = [];
    for (const word of splitWords(` ${text}`)) {
      let known = this.#words.get(word);
      if (known === undefined) {
        // The encoder itself puts a space before a text, so it gets the word without its own or, inside a word
        // sequence, behind a letter whose token is dropped again.
        known = word.startsWith("▁") && word.length > 1 || word === "▁"
          ? this.#encode(word.replace("▁", "")) ?? this.#spaceTokens
          : this.#encode(`\n${word}`).slice(this.#encode("\n").length);
        this.#words.set(word, known);
      }
      for (const token of known) tokens.push(token);
    }
    return tokens;
  }

  get #spaceTokens(): number[] {
    return [this.#tokenizer.idOf("▁")!];
  }

  #encode(text: string): number[] {
    if (text === "") return this.#spaceTokens;
    return [...this.#tokenizer.encode(text, { addSpecial: false, parseSpecial: false })];
  }
}

/** How often words occur in samples of every family, in the word lists (often enough to become one token) and in prose. */
function countWords(prose: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (text: string, times: number) => {
    for (const word of splitWords(text)) counts.set(word, (counts.get(word) ?? 0) + times);
  };
  const countTokens = (text: string) => text.split(" ").length;
  for (const family of TASK_FAMILY_NAMES) {
    for (let seed = 0; seed < 100; seed++) {
      const { prompt, reply } = generateTask(family, { length: 500, seed, split: "training", countTokens });
      add(` ${prompt} ${reply}`, 1);
    }
  }
  for (const list of Object.values(lists)) for (const word of list) add(` ${word}`, 3000);
  for (const list of [lists.VERBS, lists.ADJECTIVES, lists.OBJECTS, lists.PARAMETERS]) {
    for (const word of list) add(word, 1000);
  }
  for (const text of prose) add(text, 1);
  return counts;
}

if (import.meta.main) {
  const prose = await Promise.all(Deno.args.map((path) => Deno.readTextFile(path)));
  const { tokens, scores, types }: LearntVocabulary = learnVocabulary(countWords(prose), VOCABULARY_SIZE);
  console.log(JSON.stringify({ tokens, scores: [...scores], types: [...types] }));
}
