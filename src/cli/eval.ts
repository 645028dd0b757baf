/** @file `main.ts eval`: how good a model's answers are. */
import { basename } from "node:path";
import { averageTasks, summariseDepths, summariseTasks, type TaskSummary } from "../../bench/quality/aggregate.ts";
import { openAnswers } from "../../bench/quality/answers.ts";
import { compare, contendersOf, QUESTIONS_AT_ONCE } from "../../bench/quality/compare.ts";
import { comparisonCharts } from "../../bench/quality/comparison_charts.ts";
import { comparisonTables } from "../../bench/quality/comparison_table.ts";
import { longBenchQuestions, longBenchTasks } from "../../bench/quality/longbench/questions.ts";
import { scoreFolder } from "../../bench/quality/longbench/score.ts";
import { suiteQuestions, suiteTasks } from "../../bench/quality/suites.ts";
import { formatReport, reportOf } from "../../bench/report.ts";
import { openModel } from "../formats/open.ts";
import { readModelConfig } from "../model/read_config.ts";
import { parseKvCacheChoice } from "../plugins/registry.ts";
import { EMBEDDED_MODEL } from "./embedded_model.ts";
import { ensureAdapter } from "./environment.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { EvalCompareOptions, EvalScoreOptions } from "./flags.ts";
import { progressDisplay, questionProgress } from "./progress.ts";
import { startEngine } from "./start_engine.ts";

/** Prints the score of each task, in per cent, as JSON: `{"TASK": score}`. */
export async function evalScore({ predictions }: EvalScoreOptions): Promise<number> {
  await checkFolder("--predictions", predictions);
  console.log(JSON.stringify(await scoreFolder(predictions), null, 2));
  return EXIT_CODES.ok.code;
}

async function checkFolder(flag: string, path: string): Promise<void> {
  const folder = await Deno.stat(path).catch(() => undefined);
  if (folder?.isDirectory) return;
  const fault = folder ? "is none" : "does not exist";
  throw new ExitError("usage", `${flag} must be a folder with files TASK.jsonl, but ${path} ${fault}`);
}

/** Tokens that a chat template and an answer may take beside a prompt. */
const ROOM = 512;

/**
 * Asks a suite's questions with the full cache and with every policy and budget, and reports what each of them scores.
 *
 * @param start loads the model; tests put a stand-in here
 */
export async function evalCompare(
  { model = EMBEDDED_MODEL, suite, records, tasks, policies, budgets, lengths, samples, seed, out }: EvalCompareOptions,
  start: typeof startEngine = startEngine,
): Promise<number> {
  const known = await tasksOf(suite, records);
  const unknown = tasks?.find((task) => !known.includes(task));
  if (unknown !== undefined) {
    throw new ExitError("usage", `--tasks must name tasks of ${suite}, ${known.join(", ")}, not ${unknown}`);
  }
  const context = Math.min(await contextLength(model), Math.max(...lengths) + ROOM);
  const file = await openAnswers(beside(out, "answers.jsonl"), { suite, model: basename(model), seed });
  await ensureAdapter(console.error);
  const contenders = contendersOf(policies, budgets);
  const running = await start({
    model,
    policy: "full",
    kvBudget: 1,
    context,
    modelId: undefined,
    kvMemory: undefined,
    kvType: "f16",
    maxBatch: QUESTIONS_AT_ONCE * contenders.length,
    maxQueue: QUESTIONS_AT_ONCE * contenders.length,
  }, progressDisplay());
  try {
    const { engine, text: { tokenizer }, chatTemplate } = running;
    const request = { tasks: tasks ?? known, lengths, samples, seed, tokenizer, chatTemplate };
    const questions = suite === "longbench"
      ? await longBenchQuestions(records!, request)
      : suiteQuestions(suite, request);
    const answers = await compare(running, {
      questions,
      contenders,
      file,
      parseChoice: (contender) => parseKvCacheChoice(contender, engine.defaultKvCache),
      onProgress: questionProgress(),
    });
    const summaries = summariseTasks(answers);
    const averages = averageTasks(summaries);
    const depths = summariseDepths(answers);
    const results = { suite, model: engine.model.id, seed, averages, tasks: summaries, depths };
    const report = reportOf("quality", false, results);
    await Deno.writeTextFile(out, formatReport(report));
    const note = `${engine.model.id}, ${samples} questions of each task and length`;
    for (const [name, svg] of Object.entries(comparisonCharts(summaries, averages, depths, note))) {
      await Deno.writeTextFile(beside(out, `${name}.svg`), svg);
    }
    console.log(comparisonTables(summaries, averages));
    refuseUncompressed(summaries);
  } finally {
    await running.close();
  }
  return EXIT_CODES.ok.code;
}

/** The tasks that there are to ask. */
async function tasksOf(suite: EvalCompareOptions["suite"], records: string | undefined): Promise<readonly string[]> {
  if (suite !== "longbench") return suiteTasks(suite);
  if (records === undefined) {
    throw new ExitError("usage", "--records is missing: --suite longbench needs a folder with LongBench's TASK.jsonl");
  }
  await checkFolder("--records", records);
  return await longBenchTasks(records);
}

/** A file that goes with the results: `results.json` has its answers in `results.answers.jsonl`. */
function beside(out: string, ending: string): string {
  return `${out.replace(/\.json$/, "")}.${ending}`;
}

/** The longest prompt and answer that a model takes, in tokens. */
async function contextLength(model: string): Promise<number> {
  const file = await openModel(model);
  try {
    return (await readModelConfig(file)).contextLength;
  } finally {
    file.close();
  }
}

/** A policy that never compressed was not measured, whatever its score. */
function refuseUncompressed(summaries: readonly TaskSummary[]): void {
  const idle = summaries.find(({ compressible, compressed }) => compressible > 0 && compressed === 0);
  if (idle === undefined) return;
  const { policy, budget, task, length, compressible } = idle;
  throw new ExitError(
    "failure",
    `${policy} dropped no row of ${task} at ${length} tokens, though ${compressible} prompts are longer than its budget ` +
      `of ${budget}`,
  );
}
