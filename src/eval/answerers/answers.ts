/** @file The answers of a comparison, kept one a line, so that a run which was stopped goes on where it was. */
import { z } from "zod";
import { readJsonLines } from "../suites/json_lines.ts";
import { systemReason } from "../../formats/system_reason.ts";

const answerSchema = z.object({
  task: z.string(),
  /** The length that was asked for, and that of the prompt, in tokens. */
  length: z.number(),
  promptTokens: z.number(),
  /** From 0 within the task and length. */
  index: z.number(),
  /** Where the fact that the first turn asks for lies, in per cent of the document; null where the suite does not say. */
  depth: z.number().nullable(),
  policy: z.string(),
  /** Rows per layer, or a share of the prompt; null for the full cache. */
  budget: z.union([z.number(), z.string()]).nullable(),
  tokens: z.array(z.number()),
  answer: z.string(),
  /** In [0, 1]. */
  score: z.number(),
  /**
   * Fed the full cache's answer: the part, in [0, 1], of its tokens at which both take the same token for the likeliest, and
   * the mean divergence KL(full || this) in nats. Null where nothing was compared.
   */
  agreement: z.number().nullable(),
  divergence: z.number().nullable(),
  /** Rows of the prompt that each layer kept; empty where a server does not say. */
  rowsPerLayer: z.array(z.number()),
  /** Of the kept rows and of all rows of the prompt; null where a server does not say. */
  bytes: z.number().nullable(),
  fullBytes: z.number().nullable(),
});

/** How a question was answered with a policy and budget. */
export type Answer = Readonly<z.infer<typeof answerSchema>>;

/** Which question it answers, and how. */
export type AnswerKey = Pick<Answer, "task" | "length" | "index" | "policy" | "budget">;

/** A text that two answers share if they answer the same question with the same policy and budget. */
export function keyOf({ task, length, index, policy, budget }: AnswerKey): string {
  return JSON.stringify([task, length, index, policy, budget]);
}

/** What all answers of a file have in common; its first line. */
export interface AnswersOrigin {
  readonly suite: string;
  readonly mode: string;
  readonly model: string;
  readonly seed: number;
}

/** A file of answers. */
export interface AnswerFile {
  /** What it holds, answers added since included. */
  readonly answers: readonly Answer[];
  /** Adds answers, all or none of them. */
  add(answers: readonly Answer[]): Promise<void>;
}

/**
 * Opens a file of answers, or begins one.
 *
 * @throws {Error} naming the line that is malformed, or what the file's answers are of if it is something else
 */
export async function openAnswers(path: string, origin: AnswersOrigin): Promise<AnswerFile> {
  const answers: Answer[] = [];
  const append = async (objects: readonly unknown[]) => {
    const lines = objects.map((object) => `${JSON.stringify(object)}\n`).join("");
    await Deno.writeTextFile(path, lines, { append: true }).catch((error: Error) => {
      throw new Error(`${path} cannot be written: ${systemReason(error)}`);
    });
  };
  if (await dropUnfinishedLine(path)) {
    const [first, ...lines] = await readJsonLines(path);
    for (const [name, wanted] of Object.entries(origin)) {
      const found = first.fields[name];
      if (found === wanted) continue;
      throw new Error(`${path} holds answers of ${name} ${found}, not ${wanted}: name another file, or remove it`);
    }
    for (const { fields, place } of lines) {
      const { data, error } = answerSchema.safeParse(fields);
      if (error) {
        throw new Error(`${place} is no answer: ${error.issues[0].path.join(".")}: ${error.issues[0].message}`);
      }
      answers.push(data);
    }
  } else {
    await append([origin]);
  }
  return {
    answers,
    async add(more) {
      await append(more);
      answers.push(...more);
    },
  };
}

/** Cuts off what a process that was killed had not written to its end; returns whether a line is there. */
async function dropUnfinishedLine(path: string): Promise<boolean> {
  const text = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw new Error(`${path} cannot be read: ${systemReason(error)}`);
  });
  const end = text.lastIndexOf("\n") + 1;
  if (end < text.length) await Deno.writeTextFile(path, text.slice(0, end));
  return end > 0;
}
