/** @file The families of tasks, by name, and how a sample of one is made. */
import { askQuestion, buildPrompt } from "./document.ts";
import { Entities } from "./entities.ts";
import { code } from "./families/code.ts";
import { fewShot } from "./families/few_shot.ts";
import { keyValue } from "./families/key_value.ts";
import { multiDocumentQa } from "./families/multi_document_qa.ts";
import { needle } from "./families/needle.ts";
import { passageRetrieval } from "./families/passage_retrieval.ts";
import { singleDocumentQa } from "./families/single_document_qa.ts";
import { summarisation } from "./families/summarisation.ts";
import { variableChain } from "./families/variable_chain.ts";
import { Random } from "./random.ts";
import type { TaskFamily, TaskRequest, TaskSample } from "./task.ts";

const synthetic = { category: "synthetic", metric: "contains", maxTokens: 64 } as const;

/** Every family; those of LongBench's synthetic category have a name each. */
export const TASK_FAMILIES = {
  "single-document-qa": { category: "single-document QA", metric: "contains", maxTokens: 32, plan: singleDocumentQa },
  "multi-document-qa": { category: "multi-document QA", metric: "contains", maxTokens: 48, plan: multiDocumentQa },
  "summarisation": { category: "summarisation", metric: "rougeL", maxTokens: 96, plan: summarisation },
  "few-shot": { category: "few-shot", metric: "contains", maxTokens: 32, plan: fewShot },
  "passage-retrieval": { ...synthetic, plan: passageRetrieval },
  "key-value": { ...synthetic, plan: keyValue },
  "variable-chain": { ...synthetic, plan: variableChain },
  "needle": { ...synthetic, plan: needle },
  "code": { category: "code", metric: "editSimilarity", maxTokens: 32, plan: code },
} as const satisfies Record<string, TaskFamily>;

export type TaskFamilyName = keyof typeof TASK_FAMILIES;

export const TASK_FAMILY_NAMES = Object.keys(TASK_FAMILIES) as TaskFamilyName[];

/** Shortest and longest prompt that every family can be asked for, in tokens. */
export const MINIMUM_TASK_LENGTH = 256;
export const MAXIMUM_TASK_LENGTH = 16_384;

/**
 * A sample of a family; the same request always gives the same one.
 *
 * @throws {RangeError} when the facts of the sample do not fit into `request.length` tokens
 */
export function generateTask(family: TaskFamilyName, request: TaskRequest): TaskSample {
  const { category, metric, maxTokens, plan } = TASK_FAMILIES[family];
  const { length, seed, split, depth, countTokens } = request;
  const random = new Random(`${family} ${split} ${seed}`);
  const content = plan({ random, entities: new Entities(random, split), length, depth });
  const prompt = buildPrompt(content, { random, length, countTokens });
  const [asked, ...followUps] = content.questions;
  const { answers, reply, answerPrefix } = asked;
  const question = askQuestion(asked);
  const kind = { family, category, metric, maxTokens, length, seed, split };
  return { ...kind, prompt, question, answers, reply, answerPrefix, followUps };
}
