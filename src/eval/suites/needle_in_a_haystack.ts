/**
 * @file The classic needle in a haystack (https://github.com/gkamradt/LLMTest_NeedleInAHaystack), in the form in which
 * papers on KV cache compression run it (PyramidKV, DynamicKV): one fixed sentence at some depth of prose of some length.
 */
import { largestFitting } from "./fit.ts";
import { fillerProse, repeated, sentencesOf } from "./prose.ts";
import { randomInteger, seededRandom } from "./random.ts";
import { type CountTokens, promptOf, type Sample } from "./sample.ts";

export const NEEDLE = "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.";
const ANSWER = "eat a sandwich and sit in Dolores Park on a sunny day.";
const QUESTION = " </book>.\n Based on the content of the book, Question: The best thing to do in San Francisco is: " +
  "\nAnswer:";
const MAX_NEW_TOKENS = 30;

/** A cell of the grid. Its score is `needleRecall`. */
export interface NeedleSample extends Sample {
  /** Most tokens of prompt and answer. */
  readonly length: number;
  /** Where the needle is, in per cent of the prose. */
  readonly depth: number;
}

/** What grid to make. */
export interface NeedleGrid {
  readonly lengths: readonly number[];
  /** Per cent; 0 is the beginning, 100 the end. */
  readonly depths: readonly number[];
  /** Samples per cell, each of which begins at another sentence of the prose. */
  readonly samples: number;
  readonly seed: number;
  /** Counts the tokens of a whole prompt, chat template included where one is put around it. */
  readonly countTokens: CountTokens;
  /** The prose, repeated if it is too short. Default: generated. */
  readonly prose?: string;
}

/**
 * All samples of a grid, length by length.
 *
 * @throws {Error} if a length is too short for the question and a sentence
 */
export function needleSamples({ lengths, depths, samples, seed, countTokens, prose }: NeedleGrid): NeedleSample[] {
  const sentences = sentencesOf(prose ?? fillerProse(seededRandom(seed, "prose"), 2000));
  if (sentences.length === 0) throw new Error("The text to hide needles in holds no sentence");
  const made: NeedleSample[] = [];
  for (const length of lengths) {
    for (const depth of depths) {
      for (let index = 0; index < samples; index++) {
        const start = randomInteger(seededRandom(seed, index), 0, sentences.length - 1);
        const rotated = [...sentences.slice(start), ...sentences.slice(0, start)];
        const cell = (size: number) => needleSample(index, length, depth, repeated(rotated, size));
        const size = largestFitting(1, (size) => countTokens(promptOf(cell(size))) + MAX_NEW_TOKENS <= length);
        if (size === undefined) throw new Error(`A needle in a haystack does not fit into ${length} tokens`);
        made.push(cell(size));
      }
    }
  }
  return made;
}

function needleSample(index: number, length: number, depth: number, sentences: readonly string[]): NeedleSample {
  const place = sentenceAtDepth(sentences, depth);
  const book = sentences.toSpliced(place, 0, NEEDLE).join(" ");
  return {
    task: "needle",
    index,
    length,
    depth,
    context: `This is a very long story book: <book> ${book}`,
    question: QUESTION,
    answerPrefix: "",
    answers: [ANSWER],
    maxNewTokens: MAX_NEW_TOKENS,
  };
}

/** The number of whole sentences in the first `depth` per cent of the characters. */
function sentenceAtDepth(sentences: readonly string[], depth: number): number {
  const wanted = sentences.join(" ").length * depth / 100;
  let characters = 0;
  let count = 0;
  while (count < sentences.length && characters + sentences[count].length <= wanted) {
    characters += sentences[count].length + 1;
    count++;
  }
  return count;
}
