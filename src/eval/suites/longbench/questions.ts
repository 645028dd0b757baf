/** @file LongBench's questions, from the files in which it is published. */
import { askedBy, type PromptParts, type Question, type QuestionRequest } from "../question.ts";
import { longBenchSample } from "./prompt.ts";
import { readRecords } from "./records.ts";
import { scorePrediction } from "./score.ts";
import { LONGBENCH_TASKS } from "./tasks.ts";

/** The tasks of which a folder has a file `TASK.jsonl`. */
export async function longBenchTasks(folder: string): Promise<string[]> {
  const names = new Set((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name));
  const tasks = Object.keys(LONGBENCH_TASKS).filter((task) => names.has(`${task}.jsonl`));
  if (tasks.length > 0) return tasks;
  throw new Error(`${folder} holds no records of LongBench: expected files TASK.jsonl, such as qasper.jsonl`);
}

/** A prompt without a chat template. */
function asItIs(
  { context, question, answerPrefix }: PromptParts,
): Pick<Question, "prompt" | "questionStart" | "answerStart"> {
  const begun = context + question;
  return {
    prompt: begun + answerPrefix,
    questionStart: question === "" ? undefined : context.length,
    answerStart: begun.length,
  };
}

/**
 * The first questions of each task, cut in the middle to each length, as LongBench cuts them, but with the chat template
 * and the answer's limit as part of the length.
 *
 * @throws {Error} naming the file, the line and the field of a malformed record
 */
export async function longBenchQuestions(folder: string, request: QuestionRequest): Promise<Question[]> {
  const { tasks, lengths, samples, tokenizer } = request;
  const { ask, templateTokens } = askedBy(request);
  const questions: Question[] = [];
  for (const task of tasks) {
    const records = (await readRecords(`${folder}/${task}.jsonl`)).slice(0, samples);
    const { maxNewTokens, plain } = LONGBENCH_TASKS[task];
    for (const length of lengths) {
      const room = length - maxNewTokens - (plain ? 0 : templateTokens);
      if (room < 2) throw new Error(`${task} does not fit into ${length} tokens: its answer may have ${maxNewTokens}`);
      for (const [index, record] of records.entries()) {
        const sample = longBenchSample(task, index, record, tokenizer, room);
        const { answers, classes } = sample;
        questions.push({
          task,
          length,
          index,
          ...(plain ? asItIs(sample) : ask(sample)),
          maxTokens: maxNewTokens,
          score: (answer) => {
            // LongBench decodes answers by themselves, as texts that begin.
            const prediction = tokenizer.addSpacePrefix ? answer.replace(/^ /, "") : answer;
            return scorePrediction(task, { prediction, answers, classes });
          },
        });
      }
    }
  }
  return questions.sort((a, b) => a.index - b.index);
}
