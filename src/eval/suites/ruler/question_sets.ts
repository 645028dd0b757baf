/** @file SQuAD and HotpotQA from the files in which they are published, which are also those that RULER downloads. */
import { systemReason } from "../../../formats/system_reason.ts";
import { z } from "zod";
import type { QuestionSet } from "./question_answering.ts";

const SQUAD = z.object({
  data: z.array(z.object({
    paragraphs: z.array(z.object({
      context: z.string(),
      qas: z.array(z.object({
        question: z.string(),
        answers: z.array(z.object({ text: z.string() })),
        is_impossible: z.boolean(),
      })),
    })),
  })),
});

const HOTPOT = z.array(z.object({
  question: z.string(),
  answer: z.string(),
  context: z.array(z.tuple([z.string(), z.array(z.string())])),
}));

/**
 * SQuAD 2.0, such as `dev-v2.0.json`: one paragraph answers a question, the rest of its article is related. Questions
 * without an answer are left out.
 *
 * @throws {Error} naming the file and the field that is not as expected
 */
export async function readSquad(path: string): Promise<QuestionSet> {
  const { data } = await readJson(path, SQUAD);
  const { documents, indexOf } = numberedDocuments(
    data.flatMap(({ paragraphs }) => paragraphs.map(({ context }) => context)),
  );
  const questions = data.flatMap(({ paragraphs }) => {
    const article = [...new Set(paragraphs.map(({ context }) => indexOf(context)))];
    return paragraphs.flatMap(({ context, qas }) =>
      qas.filter(({ is_impossible }) => !is_impossible).map(({ question, answers }) => ({
        question,
        answers: answers.map(({ text }) => text),
        own: [indexOf(context)],
        related: article.filter((document) => document !== indexOf(context)),
      }))
    );
  });
  return { documents, questions };
}

/**
 * HotpotQA, such as `hotpot_dev_distractor_v1.json`: all ten paragraphs of a question are its own.
 *
 * @throws {Error} naming the file and the field that is not as expected
 */
export async function readHotpot(path: string): Promise<QuestionSet> {
  const data = await readJson(path, HOTPOT);
  const texts = data.map(({ context }) => context.map(([title, sentences]) => `${title}\n${sentences.join("")}`));
  const { documents, indexOf } = numberedDocuments(texts.flat());
  const questions = data.map(({ question, answer }, i) => ({
    question,
    answers: [answer],
    own: [...new Set(texts[i].map(indexOf))],
    related: [],
  }));
  return { documents, questions };
}

function numberedDocuments(texts: readonly string[]) {
  const numbers = new Map([...new Set(texts)].sort().map((text, index) => [text, index]));
  return { documents: [...numbers.keys()], indexOf: (text: string) => numbers.get(text)! };
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const text = await Deno.readTextFile(path).catch((error: Error) => {
    throw new Error(`${path} cannot be read: ${systemReason(error)}`);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error(`${path} is not JSON`);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path: field, message } = result.error.issues[0];
  const place = field.length === 0 ? path : `${path}: the field "${field.join(".")}"`;
  throw new Error(`${place} is not as expected: ${message}`);
}
