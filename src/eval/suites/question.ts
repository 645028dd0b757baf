/** @file A question to a model, ready to be asked and scored, and how it is put. */
import type { ChatMessage, ChatTemplate } from "../../text/chat_template.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { Sample } from "./sample.ts";

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
  /** Characters of the prompt before what is asked; not given where that cannot be told. */
  readonly questionStart?: number;
  /** Characters of the prompt before what the answer is begun with. */
  readonly answerStart: number;
  readonly maxTokens: number;
  /** The score, in [0, 1], of an answer. */
  score(answer: string): number;
  /** What is asked next, in the second turn. */
  readonly followUp?: FollowUp;
}

/** A question behind the answer to another one. */
export interface FollowUp {
  /** All that comes between the two answers, chat template included. */
  readonly text: string;
  readonly maxTokens: number;
  /** The score, in [0, 1], of an answer. */
  score(answer: string): number;
}

/** A prompt in parts: see {@link Sample}. */
export type PromptParts = Pick<Sample, "context" | "question" | "answerPrefix">;

/** Which questions to make. */
export interface QuestionRequest {
  readonly tasks: readonly string[];
  /** In tokens: of prompts, or, for all suites but our own, of prompt and answer. */
  readonly lengths: readonly number[];
  /** Of each task and length. */
  readonly samples: number;
  readonly seed: number;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: Pick<ChatTemplate, "render">;
}

/** How a model is asked: by its chat template, behind which an answer may have been begun. */
export interface Asking {
  /** A first question. */
  ask(parts: PromptParts): Pick<Question, "prompt" | "questionStart" | "answerStart">;
  /** What comes between an answer and the next. */
  askNext(question: string, answerPrefix: string): string;
  /** Tokens that the chat template takes. */
  readonly templateTokens: number;
}

/** Stands for an answer that is not known yet. */
const ANSWER = "ANSWER";

export function askedBy({ chatTemplate, tokenizer }: Pick<QuestionRequest, "chatTemplate" | "tokenizer">): Asking {
  const user = (content: string) => ({ role: "user", content });
  const render = (messages: readonly ChatMessage[]) => chatTemplate.render({ messages }).text;
  return {
    ask({ context, question, answerPrefix }) {
      const begun = render([user(context + question)]);
      const start = question === "" ? -1 : begun.indexOf(context + question);
      return {
        prompt: begun + answerPrefix,
        questionStart: start === -1 ? undefined : start + context.length,
        answerStart: begun.length,
      };
    },
    askNext(question, answerPrefix) {
      const text = render([user("First"), { role: "assistant", content: ANSWER }, user(question)]);
      return text.slice(text.indexOf(ANSWER) + ANSWER.length) + answerPrefix;
    },
    templateTokens: tokenizer.encode(render([user("")])).length,
  };
}
