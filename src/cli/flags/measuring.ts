/** @file Flags of the commands that measure: `eval`, `bench serve` and `tasks`; see shared.ts. */
import { MODES } from "../../eval/answerers/modes.ts";
import { DATASETS } from "../../eval/load/prompts.ts";
import { type Goodput, TIMES } from "../../eval/load/summary.ts";
import { SUITE_NAMES } from "../../eval/suites/suites.ts";
import { MAXIMUM_TASK_LENGTH, MINIMUM_TASK_LENGTH, TASK_FAMILY_NAMES } from "../../eval/tasks/families.ts";
import {
  type AnyFlag,
  apiKey,
  bytes,
  cacheBudget,
  integer,
  listOf,
  number,
  oneOf,
  onOff,
  type OptionsOf,
  serverUrl,
  text,
  type ValueType,
} from "../values.ts";
import { DEVICE_FLAGS, ENGINE_FLAGS, PLUGIN_FLAGS, policyName } from "./shared.ts";

const goodput: ValueType<Goodput> = {
  placeholder: "NAME:MS,...",
  expectation: `a list of ${Object.keys(TIMES).join(", ")}, each with milliseconds, such as ttft:300,tpot:50`,
  parse(text) {
    const limits = text.split(",").map((part) => /^(\w+):(\d+(?:\.\d+)?)$/.exec(part.trim()));
    if (!limits.every((limit) => limit !== null && limit[1] in TIMES)) return undefined;
    return Object.fromEntries(limits.map((limit) => [limit![1], Number(limit![2])]));
  },
};

/** `eval score`: scores of predictions that are already there. */
export const EVAL_SCORE_FLAGS = {
  predictions: {
    value: text("FOLDER", "a folder with files TASK.jsonl"),
    required: true,
    help: "Folder with a model's answers to LongBench, one TASK.jsonl per task",
  },
} as const satisfies Record<string, AnyFlag>;

/** `eval compare`: KV cache policies and budgets beside the full cache. */
export const EVAL_COMPARE_FLAGS = {
  model: ENGINE_FLAGS.model,
  ...DEVICE_FLAGS,
  kvMemory: {
    value: bytes(1),
    help:
      "Memory for the KV caches of all that is asked at once, such as 40G: where it is short, prompts are read more than once; default: what one full cache needs, or 1 GiB",
  },
  suite: { value: oneOf(...SUITE_NAMES, "longbench"), default: "tasks", help: "Suite of questions" },
  records: {
    value: text("FOLDER", "a folder with files TASK.jsonl"),
    help: "Folder with LongBench's records, one TASK.jsonl per task; for --suite longbench",
  },
  squad: { value: text("FILE", "a file of SQuAD 2.0"), help: "SQuAD's dev-v2.0.json; adds qa_1 to --suite ruler" },
  hotpot: {
    value: text("FILE", "a file of HotpotQA"),
    help: "HotpotQA's hotpot_dev_distractor_v1.json; adds qa_2 to --suite ruler",
  },
  tasks: { value: listOf(text("NAME", "a task")), help: "Tasks of the suite; default: all" },
  mode: {
    value: oneOf(...MODES),
    default: "query-aware",
    help:
      "Compress with the question, before it, or ask a second one of the same cache; or evict while tokens are fed, of the prompt or of a long answer",
  },
  policies: {
    value: listOf(policyName),
    default: ["streaming", "h2o", "snapkv", "pyramidkv", "dynamickv", "ebbkv"],
    help: "KV cache policies; the full cache is always asked too",
  },
  ...PLUGIN_FLAGS,
  budgets: {
    value: listOf(cacheBudget),
    default: [64, 128, "6.9%"],
    help: "KV rows per layer, on average, or shares of the prompt",
  },
  lengths: { value: listOf(integer(1)), default: [1024], help: "Lengths of the prompts, in tokens" },
  samples: { value: integer(1), default: 50, help: "Questions of each task and length" },
  seed: { value: integer(0, 1_000_000), default: 0, help: "Another seed, other questions" },
  url: {
    value: serverUrl,
    help: "Ask a server with OpenAI's API; --model then only writes prompts and counts tokens",
  },
  apiModel: { value: text("NAME", "a model's id"), needs: "url", help: "The model to ask for; for --url" },
  apiKey: { value: apiKey, isSecret: true, needs: "url", help: "Key that the server asks for; for --url" },
  out: {
    value: text("FILE.json", "a file to write"),
    required: true,
    help: "File for the results; figures and all answers come beside it, and a stopped run goes on from these",
  },
} as const satisfies Record<string, AnyFlag>;

/** `bench serve`: a server's speed. */
export const BENCH_SERVE_FLAGS = {
  url: {
    value: serverUrl,
    default: "http://localhost:8000",
    help: "Server with OpenAI's API",
  },
  apiModel: { value: text("NAME", "a model's id"), help: "The model to ask for; default: the first that is served" },
  apiKey: { value: apiKey, isSecret: true, help: "Key that the server asks for" },
  dataset: {
    value: oneOf(...DATASETS),
    default: "random",
    help: "Prompts: random words, random words behind shared beginnings, or recorded conversations",
  },
  records: { value: text("FILE", "a JSON file"), help: "Conversations in ShareGPT's form; for --dataset sharegpt" },
  requests: { value: integer(1), default: 100, help: "Requests to send" },
  inputLength: { value: integer(1), default: 256, help: "Tokens of a random prompt, about" },
  outputLength: { value: integer(1), default: 64, help: "Most tokens of an answer" },
  spread: {
    value: number(0, 1),
    default: 0,
    help: "How far lengths differ from these: 0.5 is from half to half as much again",
  },
  prefixLength: { value: integer(1), default: 256, help: "Tokens of a shared beginning, about; for --dataset prefix" },
  prefixes: { value: integer(1), default: 4, help: "Different beginnings; for --dataset prefix" },
  ignoreEos: { value: onOff, default: false, help: "Have answers go on to their limit, where the server can" },
  rate: { value: number(0.001, 1e6), help: "Requests a second; default: all at once" },
  burstiness: {
    value: number(0.01, 1000),
    default: 1,
    help: "How evenly requests come: 1 by chance, less in bursts, more evenly",
  },
  concurrency: { value: integer(1), help: "Most requests at once; default: any number" },
  goodput: {
    value: goodput,
    help: "Limits in milliseconds within which a request is good, such as ttft:300,tpot:50",
  },
  seed: { value: integer(0), default: 0, help: "Another seed, other prompts and arrivals" },
  out: { value: text("FILE.json", "a file to write"), help: "File for the results; a picture comes beside it" },
} as const satisfies Record<string, AnyFlag>;

/** `tasks`: a sample of a family of tasks. */
export const TASKS_FLAGS = {
  family: { value: oneOf(...TASK_FAMILY_NAMES), required: true, help: "Family of tasks" },
  length: {
    value: integer(MINIMUM_TASK_LENGTH, MAXIMUM_TASK_LENGTH),
    default: 1024,
    help: "Longest prompt, in tokens of the embedded model",
  },
  seed: { value: integer(0), default: 0, help: "Another seed, another sample" },
  depth: {
    value: number(0, 1),
    help: "Place of the fact asked for: 0 at the start, 1 at the end; default: anywhere",
  },
} as const satisfies Record<string, AnyFlag>;

export type EvalScoreOptions = OptionsOf<typeof EVAL_SCORE_FLAGS>;
export type EvalCompareOptions = OptionsOf<typeof EVAL_COMPARE_FLAGS>;
export type BenchServeOptions = OptionsOf<typeof BENCH_SERVE_FLAGS>;
export type TasksOptions = OptionsOf<typeof TASKS_FLAGS>;
