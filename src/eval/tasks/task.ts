/** @file What a task family is, and what a sample of it holds. */
import type { Entities } from "./entities.ts";
import type { Random } from "./random.ts";
import type { Split } from "./split.ts";

/** How an answer is scored, from 0 to 1 (see scoring.ts). */
export type TaskMetric = "contains" | "rougeL" | "editSimilarity";

/** LongBench's category that a family stands for. */
export type TaskCategory =
  | "single-document QA"
  | "multi-document QA"
  | "summarisation"
  | "few-shot"
  | "synthetic"
  | "code";

/** What a sample is asked to be like. */
export interface TaskRequest {
  /** Tokens of the prompt: at most this many, and no more than a sentence fewer. */
  readonly length: number;
  readonly seed: number;
  readonly split: Split;
  /** Where the fact that answers the question lies: 0 at the start of the document, 1 at its end. Default: anywhere. */
  readonly depth?: number;
  /** Tokens that a text takes when it follows other text. */
  readonly countTokens: (text: string) => number;
}

/** What a family plans a sample from: sources of chance and names, and the wishes of the request. */
export interface TaskContext {
  readonly random: Random;
  readonly entities: Entities;
  readonly length: number;
  readonly depth?: number;
}

/** A passage that a document must hold. */
export interface Passage {
  readonly text: string;
  /** 0 at the start of the document, 1 at its end; anywhere, if not given. */
  readonly depth?: number;
}

export interface Question {
  readonly text: string;
  /** Each of them is a right answer. */
  readonly answers: readonly string[];
  /** The reply that training teaches: the answer, led up to by the sentences it follows from. */
  readonly reply: string;
  /** What of the reply comes before the first thing looked up; an answer may be begun with it, as RULER does. */
  readonly answerPrefix: string;
}

/** What a sample is built from: facts, what stands between them, and questions. The first question is the sample's. */
export interface TaskPlan {
  readonly opening: string;
  readonly passages: readonly Passage[];
  readonly questions: readonly Question[];
  /** Makes a sentence that answers no question. Default: one about animals, food and weather. */
  readonly filler?: () => string;
  /** What stands between any two sentences. Default: a space. */
  readonly separator?: string;
}

/** A sample, ready to be sent. */
export interface TaskSample {
  readonly family: string;
  readonly category: TaskCategory;
  readonly metric: TaskMetric;
  /** Tokens that are enough for the reply. */
  readonly maxTokens: number;
  readonly length: number;
  readonly seed: number;
  readonly split: Split;
  readonly prompt: string;
  /** The end of the prompt, in which it asks. */
  readonly question: string;
  readonly answers: readonly string[];
  readonly reply: string;
  readonly answerPrefix: string;
  /** More questions about the same document, to be asked in later turns. */
  readonly followUps: readonly Question[];
}

/** A family of tasks. */
export interface TaskFamily {
  readonly category: TaskCategory;
  readonly metric: TaskMetric;
  readonly maxTokens: number;
  plan(context: TaskContext): TaskPlan;
}
