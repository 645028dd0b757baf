/**
 * @file Writes a shard of training rows for train.py.
 *
 * `deno run -A tools/train/write_shard.ts TOKENIZER.json OUT LENGTH ROWS SEED REPEAT_SHARE PROSE_SHARE PROSE.txt...`
 *
 * `OUT.tokens` holds ROWS x (LENGTH + 1) token ids as uint16, `OUT.kinds` as many bytes: what a token is to the loss when
 * it is predicted (see {@linkcode KIND}).
 */
import { askQuestion } from "../../src/eval/tasks/document.ts";
import { generateTask, TASK_FAMILY_NAMES, type TaskFamilyName } from "../../src/eval/tasks/families.ts";
import { Random } from "../../src/eval/tasks/random.ts";
import { SPECIAL_TOKENS } from "./bpe.ts";
import { smallTalk } from "./small_talk.ts";
import { type TokenizerFile, WordCachedEncoder } from "./tokenizer.ts";

/** What a token is to the loss; each kind is averaged by itself and has a weight of its own in train.py. */
export const KIND = { none: 0, document: 1, answer: 2, prose: 3, repeat: 4 } as const;

const BEGIN = 1, END = 2, USER = 3, ASSISTANT = 4;
const FIRST_ORDINARY_TOKEN = SPECIAL_TOKENS.length + 256;

/** Families in proportion to how often they come: those that take longest to learn come more often. */
const FAMILIES: readonly TaskFamilyName[] = [
  ...TASK_FAMILY_NAMES,
  ...Array<TaskFamilyName>(3).fill("variable-chain"),
  ...Array<TaskFamilyName>(2).fill("key-value"),
  ...Array<TaskFamilyName>(2).fill("summarisation"),
];

/** What stories are asked for with, in a chat. */
const STORY_REQUESTS = [
  "Tell me a story.",
  "Please tell me a short story.",
  "Tell me something.",
  "Can you tell me a story?",
  "I would like to hear a story.",
  "Write a short story.",
  "Another story, please.",
];

/** Share of small talk among what prose rows hold; it is short and soon learnt. */
const SMALL_TALK_SHARE = 0.25;

/** One row: tokens and their kinds, filled from the front. */
class Row {
  readonly tokens: number[] = [];
  readonly kinds: number[] = [];

  add(tokens: readonly number[], kind: number): void {
    for (const token of tokens) {
      this.tokens.push(token);
      this.kinds.push(kind);
    }
  }
}

/** Fills rows of three sorts: tasks, repeated random segments, prose. */
export class RowWriter {
  readonly #encoder: WordCachedEncoder;
  readonly #random: Random;
  readonly #length: number;
  readonly #stories: readonly string[];
  readonly #vocabularySize: number;
  #seed: number;

  constructor(file: TokenizerFile, length: number, seed: number, stories: readonly string[]) {
    this.#encoder = new WordCachedEncoder(file);
    this.#random = new Random(`rows ${seed}`);
    this.#length = length;
    this.#stories = stories;
    this.#vocabularySize = file.tokens.length;
    this.#seed = seed * 1_000_000;
  }

  row(repeatShare: number, proseShare: number): Row {
    const choice = this.#random.next();
    if (choice < repeatShare) return this.#repeatRow();
    if (choice < repeatShare + proseShare) return this.#proseRow();
    return this.#taskRow(this.#random.pick(FAMILIES));
  }

  /** A document, its question and as many more questions as there is room for. */
  #taskRow(family: TaskFamilyName): Row {
    const room = this.#length + 1;
    const countTokens = (text: string) => this.#encoder.encode(text).length;
    const share = 0.65 + 0.25 * this.#random.next();
    const length = Math.max(Math.floor(room * share), room - 600);
    const row = new Row();
    const sample = (() => {
      try {
        return generateTask(family, { length, seed: this.#seed++, split: "training", countTokens });
      } catch (error) {
        // The facts of some samples do not fit short rows.
        if (error instanceof RangeError) return undefined;
        throw error;
      }
    })();
    if (sample === undefined) return this.row(0, 0);
    const { prompt, reply, followUps } = sample;
    const isChat = this.#random.next() < 0.7;
    row.add(isChat ? [BEGIN, USER] : [BEGIN], KIND.none);
    row.add(this.#encoder.encode(prompt), KIND.document);
    if (isChat) row.add([ASSISTANT], KIND.none);
    row.add([...this.#encoder.encode(reply), END], KIND.answer);
    for (const question of followUps) {
      const asked = [USER, ...this.#encoder.encode(askQuestion(question)), ASSISTANT];
      const answer = [...this.#encoder.encode(question.reply), END];
      if (row.tokens.length + asked.length + answer.length > room) break;
      row.add(asked, KIND.none);
      row.add(answer, KIND.answer);
    }
    return row.tokens.length > room ? this.row(0, 0) : row;
  }

  /** A random segment again and again: what makes copying form. */
  #repeatRow(): Row {
    const row = new Row();
    const segment = Array.from(
      { length: this.#random.between(12, this.#length >> 1) },
      () => this.#random.between(FIRST_ORDINARY_TOKEN, this.#vocabularySize - 1),
    );
    row.add([BEGIN, ...segment], KIND.none);
    while (row.tokens.length <= this.#length) row.add(segment, KIND.repeat);
    return row;
  }

  #proseRow(): Row {
    const row = new Row();
    while (row.tokens.length <= this.#length) {
      if (this.#random.next() < SMALL_TALK_SHARE) {
        const { asked, reply } = smallTalk(this.#random);
        row.add([BEGIN, USER, ...this.#encoder.encode(asked), ASSISTANT], KIND.none);
        row.add([...this.#encoder.encode(reply), END], KIND.prose);
        continue;
      }
      const story = [...this.#encoder.encode(this.#random.pick(this.#stories)), END];
      if (this.#random.next() < 0.5) {
        row.add([BEGIN, USER, ...this.#encoder.encode(this.#random.pick(STORY_REQUESTS)), ASSISTANT], KIND.none);
      } else {
        row.add([BEGIN], KIND.none);
      }
      row.add(story, KIND.prose);
    }
    return row;
  }
}

/** Cuts a text of many stories, set apart by a line each or by `<|endoftext|>`, and makes its quotes plain. */
export function splitStories(text: string): string[] {
  const plain = text.replace(/[“”]/g, '"').replace(/[‘’]/g, "'").replace(/[—–]/g, "-").replace(/[^\x20-\x7e\n]/g, "");
  const parts = plain.includes("<|endoftext|>") ? plain.split("<|endoftext|>") : plain.split(/\n\n+/);
  return parts.map((part) => part.replace(/\s+/g, " ").trim()).filter((part) => part.length > 100);
}

if (import.meta.main) {
  const [tokenizerPath, out, length, rows, seed, repeatShare, proseShare, ...prosePaths] = Deno.args;
  const rowLength = Number(length) + 1;
  const prose = await Promise.all(prosePaths.map((path) => Deno.readTextFile(path)));
  const file: TokenizerFile = JSON.parse(await Deno.readTextFile(tokenizerPath));
  const writer = new RowWriter(file, Number(length), Number(seed), prose.flatMap(splitStories));
  const tokens = new Uint16Array(Number(rows) * rowLength);
  const kinds = new Uint8Array(tokens.length);
  for (let i = 0; i < Number(rows); i++) {
    const row = writer.row(Number(repeatShare), Number(proseShare));
    tokens.set(row.tokens.slice(0, rowLength), i * rowLength);
    kinds.set(row.kinds.slice(0, rowLength), i * rowLength);
  }
  await Deno.writeFile(`${out}.tokens`, new Uint8Array(tokens.buffer));
  await Deno.writeFile(`${out}.kinds`, kinds);
}
