/** @file `main.ts eval`: how good a model's answers are. */
import { averageTasks, summariseDepths, summariseTasks, type TaskSummary } from "../eval/comparison/aggregate.ts";
import { openAnswers } from "../eval/answerers/answers.ts";
import { type Answerer, compare, QUESTIONS_AT_ONCE } from "../eval/comparison/compare.ts";
import { comparisonCharts } from "../eval/comparison/comparison_charts.ts";
import { comparisonTables, compressionStatement, undecidedStatement } from "../eval/comparison/comparison_table.ts";
import { type Contender, contendersOf, SERVER } from "../eval/comparison/contender.ts";
import { decodingAnswerer, OTHER_TOKENS } from "../eval/answerers/decoding_answers.ts";
import { engineAnswerer } from "../eval/answerers/engine_answers.ts";
import { longBenchQuestions, longBenchTasks } from "../eval/suites/longbench/questions.ts";
import { scoreFolder } from "../eval/suites/longbench/score.ts";
import type { Mode } from "../eval/answerers/modes.ts";
import type { Question } from "../eval/suites/question.ts";
import type { ComparisonResults } from "../eval/comparison/results.ts";
import { readHotpot, readSquad } from "../eval/suites/ruler/question_sets.ts";
import { serverAnswerer, takesPolicies } from "../eval/answerers/server_answers.ts";
import { type SuiteName, suiteQuestions, suiteTasks } from "../eval/suites/suites.ts";
import { formatReport, reportOf } from "../eval/report.ts";
import { openModel } from "../formats/open.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { parseKvCacheChoice } from "../policy/choice.ts";
import { EMBEDDED_MODEL } from "../serving/embedded_model.ts";
import { chooseDevice } from "../serving/device.ts";
import { suggestion } from "../text/nearest.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { EvalCompareOptions, EvalScoreOptions } from "./flags/measuring.ts";
import { localModel } from "./local_model.ts";
import { requireOutFile } from "./out_file.ts";
import { policiesOf } from "./policies.ts";
import { extentLines, probedSeconds } from "./comparison_extent.ts";
import { comparisonProgress, progressDisplay } from "./progress.ts";
import { type ReadingProgress, watchReading } from "./watch_reading.ts";
import { loadText, type RunningEngine, startEngine } from "../serving/start_engine.ts";

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

/** Tokens that a chat template, questions fed later and answers may take beside a prompt. */
const ROOM = 512;

/**
 * Asks a suite's questions with the full cache and with every policy and budget, and reports what each of them scores.
 *
 * @param start loads the model; tests put a stand-in here
 */
export async function evalCompare(
  options: EvalCompareOptions,
  start: typeof startEngine = startEngine,
): Promise<number> {
  const { out } = options;
  await requireOutFile("--out", out, ".json");
  const results = await runComparison(options, beside(out, "answers.jsonl"), start);
  await Deno.writeTextFile(out, formatReport(reportOf("quality", false, results)));
  for (const [name, svg] of Object.entries(comparisonCharts(results))) {
    await Deno.writeTextFile(beside(out, `${name}.svg`), svg);
  }
  const statements = [
    compressionStatement(results.tasks, results.mode),
    undecidedStatement(results.tasks, results.mode),
  ];
  console.log(
    [comparisonTables(results.tasks), ...statements.filter((statement) => statement !== undefined)].join("\n\n"),
  );
  refuseUncompressed(results.tasks);
  return EXIT_CODES.ok.code;
}

/** Asks what a file of answers does not hold yet, and sums up all of the comparison. */
export async function runComparison(
  options: EvalCompareOptions,
  answersFile: string,
  start: typeof startEngine = startEngine,
): Promise<ComparisonResults> {
  const { suite, mode, seed } = options;
  const sources = await readSources(options);
  const known = sources.records ? await longBenchTasks(sources.records) : suiteTasks(suite as SuiteName, sources.texts);
  const unknown = options.tasks?.find((task) => !known.includes(task));
  if (unknown !== undefined) {
    throw new ExitError(
      "usage",
      `--tasks must name tasks of --suite ${suite}, ${known.join(", ")}, not ${unknown}${suggestion(unknown, known)}`,
    );
  }
  const local = { ...options, model: await localModel(options.model) };
  const progress = comparisonProgress();
  const asking = options.url === undefined
    ? await askModel(local, start, progress.reading)
    : await askServer(local, options.url);
  try {
    const { model, contenders, answerer, text: { tokenizer }, chatTemplate } = asking;
    const file = await openAnswers(answersFile, { suite, mode, model, seed });
    const request = { ...options, tasks: options.tasks ?? known, tokenizer, chatTemplate };
    const questions = sources.records
      ? await longBenchQuestions(sources.records, request)
      : suiteQuestions(suite as SuiteName, request, sources.texts);
    const answers = await compare(answerer, {
      questions: inMode(questions, mode),
      contenders,
      file,
      async onStart(questions, answers) {
        const seconds = asking.probe ? await asking.probe(questions, answers) : null;
        for (const line of extentLines(questions, answers, seconds)) console.error(line);
        progress.answered({ questions: 0, allQuestions: questions.length, answers: 0, allAnswers: answers });
      },
      onProgress: progress.answered,
    });
    const tasks = summariseTasks(answers);
    const averages = averageTasks(tasks);
    return { suite, mode, model, seed, averages, tasks, depths: summariseDepths(answers) };
  } finally {
    await asking.close();
  }
}

/** Who is asked, and as what. */
interface Asking extends Pick<RunningEngine, "text" | "chatTemplate" | "close"> {
  readonly model: string;
  readonly contenders: readonly Contender[];
  readonly answerer: Answerer;
  /** How long questions will take, in seconds, where that can be found out. */
  readonly probe?: (questions: readonly Question[], answers: number) => Promise<number>;
}

/** What questions are asked with that say nothing of the KV cache. */
const FULL_CACHE = { policy: "full", budget: 1, options: {} };

async function askModel(
  {
    model = EMBEDDED_MODEL,
    device: choice,
    threads,
    cpuWeights,
    kvMemory,
    policies,
    budgets,
    lengths,
    mode,
    plugin,
    sandboxPlugins,
  }: EvalCompareOptions,
  start: typeof startEngine,
  onReading: (progress: ReadingProgress | null) => void,
): Promise<Asking> {
  const registry = await policiesOf({ plugin, sandboxPlugins, policies });
  const device = await chooseDevice(choice, console.error);
  const contenders = contendersOf(policies, budgets);
  const running = await start(
    {
      model,
      defaultKvCache: FULL_CACHE,
      context: Math.min(
        await contextLength(model),
        Math.max(...lengths) + ROOM + (mode === "long-answer" ? OTHER_TOKENS : 0),
      ),
      device,
      threads,
      cpuWeights,
      kvMemory,
      maxBatch: QUESTIONS_AT_ONCE * contenders.length,
      maxQueue: QUESTIONS_AT_ONCE * contenders.length,
    },
    registry,
    progressDisplay(),
  );
  const { engine } = running;
  const watched = { ...running, engine: watchReading(engine, onReading) };
  const parseChoice = (choice: unknown) => parseKvCacheChoice(choice, engine.defaultKvCache, registry);
  return {
    ...running,
    model: engine.model.id,
    contenders,
    answerer: mode === "decoding" || mode === "long-answer"
      ? decodingAnswerer(watched, { mode, parseChoice })
      : engineAnswerer(watched, { mode, parseChoice }),
    probe: (questions, answers) => probedSeconds(running, questions, answers),
    close: () => running.close(),
  };
}

async function askServer(
  { model = EMBEDDED_MODEL, apiModel, apiKey, policies, budgets, mode }: EvalCompareOptions,
  url: string,
): Promise<Asking> {
  if (apiModel === undefined) {
    throw new ExitError("usage", "--api-model is missing: name the model to ask for of --url");
  }
  if (mode !== "query-aware") {
    throw new ExitError("usage", `--mode ${mode} needs a model in this process: leave out --url, or take query-aware`);
  }
  const server = { url, model: apiModel, apiKey };
  const isEbb = await takesPolicies(server);
  console.error(
    isEbb
      ? `${url} is an Ebb server: policies and budgets go along with each question`
      : `${url} knows no KV cache policies: it is asked as it is, and --policies and --budgets are not looked at`,
  );
  const { text, chatTemplate } = await loadText(model);
  return {
    model: apiModel,
    contenders: isEbb ? contendersOf(policies, budgets) : [SERVER],
    answerer: serverAnswerer(server, isEbb),
    text,
    chatTemplate,
    close: () => Promise.resolve(text.close()),
  };
}

/** Where questions come from that are not made up. */
async function readSources({ suite, records, squad, hotpot }: EvalCompareOptions) {
  const texts = {
    squad: squad === undefined ? undefined : await readSquad(squad).catch(isOf("--squad")),
    hotpot: hotpot === undefined ? undefined : await readHotpot(hotpot).catch(isOf("--hotpot")),
  };
  if (suite !== "longbench") return { texts };
  if (records === undefined) {
    throw new ExitError("usage", "--records is missing: --suite longbench needs a folder with LongBench's TASK.jsonl");
  }
  await checkFolder("--records", records);
  return { texts, records };
}

/** Says whose value a file is that cannot be used; the error's own words begin with its name. */
const isOf = (flag: string) => (error: Error): never => {
  throw new ExitError("usage", `${flag} ${error.message}`);
};

/** Questions with a second turn only where one is wanted; then those without one are left out. */
function inMode(questions: readonly Question[], mode: Mode): Question[] {
  if (mode !== "two-turn") return questions.map((question) => ({ ...question, followUp: undefined }));
  const kept = questions.filter(({ followUp }) => followUp);
  const single = questions.find(({ task }) => !kept.some((other) => other.task === task));
  if (single === undefined) return kept;
  throw new ExitError(
    "usage",
    `--mode two-turn needs two questions about a text, but ${single.task} has one: take --suite tasks`,
  );
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
