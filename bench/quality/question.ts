/** @file A question to a model, ready to be asked and scored, and how it is put. */
import type { ChatTemplate } from "../../src/text/chat_template.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";

export interface Question {
  readonly task: string;
  /** The length that was asked for, in tokens. */
  readonly length: number;
  /** From 0 within the task and length. */
  readonly index: number;
  /** Where the fact asked for lies, in per cent of the document, where the suite varies it. */
  readonly depth?: number;
  /** The whole text that the model is to continue, chat template included. */
  readonly prompt: string;
  readonly maxTokens: number;
  /** The score, in [0, 1], of an answer. */
  score(answer: string): number;
}

/** Which questions to make. */
export interface QuestionRequest {
  readonly tasks: readonly string[];
  /** In tokens: of prompts, or, for all suites but our own, of prompt and answer. */
  readonly lengths: readonly number[];
  /** Of each task and length. */
  readonly samples: number;
  readonly seed: number;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: Pick<ChatTemplate, "apply">;
}

/** How a model is asked: by its chat template, behind which an answer may have been begun; and the tokens this takes. */
export function askedBy({ chatTemplate, tokenizer }: Pick<QuestionRequest, "chatTemplate" | "tokenizer">) {
  const ask = (content: string, answerPrefix = "") => chatTemplate.apply([{ role: "user", content }]) + answerPrefix;
  return { ask, templateTokens: tokenizer.encode(ask("")).length };
}
