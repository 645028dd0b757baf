/** @file The needle demo: a document with magic numbers in it, the question for one of them, and whether the answer has it. */
import { generateTask, MAXIMUM_TASK_LENGTH, MINIMUM_TASK_LENGTH } from "../eval/tasks/families.ts";
import { scoreReply } from "../eval/tasks/scoring.ts";

/** What kind of document is wanted. */
export interface NeedleWish {
  /** Tokens, roughly: words are counted. */
  readonly length: number;
  /** Where the needle lies, from 0 at the beginning to 1 at the end. */
  readonly depth: number;
  readonly seed: number;
}

export interface Needle {
  readonly prompt: string;
  /** The sentence that has the answer. */
  readonly sentence: string;
  readonly answer: string;
  readonly maxTokens: number;
}

/** Lengths that documents can be asked for. */
export const NEEDLE_LENGTHS = { least: MINIMUM_TASK_LENGTH, most: MAXIMUM_TASK_LENGTH } as const;

/** About what tokenizers make of a common word, a space before it. */
const TOKENS_PER_WORD = 1.3;

/** The document, and its question at the end. The same wish has the same one. */
export function makeNeedle({ length, depth, seed }: NeedleWish): Needle {
  const countTokens = (text: string) => Math.ceil(text.split(/\s+/).filter(Boolean).length * TOKENS_PER_WORD);
  const sample = generateTask("needle", { length, depth, seed, split: "evaluation", countTokens });
  return {
    prompt: `${sample.prompt} ${sample.answerPrefix}`,
    sentence: sample.reply,
    answer: sample.answers[0],
    maxTokens: 12,
  };
}

/** Whether a reply has the answer. */
export function isRight({ answer }: Needle, reply: string): boolean {
  return scoreReply({ metric: "contains", answers: [answer] }, reply) === 1;
}
