/** @file The commands of the program, as data: what they take and where they live. */
import { BENCH_SERVE_FLAGS, EVAL_COMPARE_FLAGS, EVAL_SCORE_FLAGS, TASKS_FLAGS } from "./flags/measuring.ts";
import { CONVERT_FLAGS, INSPECT_FLAGS, MODELS_FLAGS, PULL_FLAGS, QUANTIZE_FLAGS, RM_FLAGS } from "./flags/models.ts";
import { POLICY_CHECK_FLAGS, POLICY_NEW_FLAGS, POLICY_TRY_FLAGS } from "./flags/policies.ts";
import { CHAT_FLAGS, GENERATE_FLAGS, SERVE_FLAGS } from "./flags/serving.ts";
import type { AnyFlag } from "./values.ts";

/** A command of `main.ts`. */
export interface Command {
  readonly summary: string;
  readonly flags: Record<string, AnyFlag>;
  /** The options that arguments without flags stand for, in order. */
  readonly positionals?: readonly string[];
  /** Runs the command on parsed options; loaded only when needed, so that `--help` answers at once. */
  // deno-lint-ignore no-explicit-any -- options have the type that goes with the command's flags
  readonly load: () => Promise<(options: any) => Promise<number>>;
}

/** By name; a name of two words is given as two arguments. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    summary: "Serve a model over HTTP, with OpenAI's API",
    flags: SERVE_FLAGS,
    load: async () => (await import("./serve.ts")).serve,
  },
  generate: {
    summary: "Continue a prompt on the terminal",
    flags: GENERATE_FLAGS,
    load: async () => (await import("./generate.ts")).generate,
  },
  chat: {
    summary: "Talk with a model on the terminal",
    flags: CHAT_FLAGS,
    load: async () => (await import("./chat.ts")).chat,
  },
  inspect: {
    summary: "Show what a model file holds and how much memory it needs",
    flags: INSPECT_FLAGS,
    positionals: ["model"],
    load: async () => (await import("./inspect.ts")).inspect,
  },
  pull: {
    summary: "Get a model from the hub or a URL, into the cache of models",
    flags: PULL_FLAGS,
    positionals: ["model"],
    load: async () => (await import("./pull.ts")).pull,
  },
  models: {
    summary: "List the models in the cache",
    flags: MODELS_FLAGS,
    load: async () => (await import("./pull.ts")).models,
  },
  rm: {
    summary: "Delete a model from the cache",
    flags: RM_FLAGS,
    positionals: ["name"],
    load: async () => (await import("./pull.ts")).rm,
  },
  convert: {
    summary: "Make a GGUF file of a folder with safetensors",
    flags: CONVERT_FLAGS,
    positionals: ["model", "out"],
    load: async () => (await import("./convert.ts")).convert,
  },
  quantize: {
    summary: "Make a GGUF file smaller: its weights in another type",
    flags: QUANTIZE_FLAGS,
    positionals: ["model", "out"],
    load: async () => (await import("./convert.ts")).quantize,
  },
  "eval compare": {
    summary: "Compare KV cache policies and budgets by a model's answers",
    flags: EVAL_COMPARE_FLAGS,
    load: async () => (await import("./eval.ts")).evalCompare,
  },
  "eval score": {
    summary: "Score a model's answers to LongBench's questions",
    flags: EVAL_SCORE_FLAGS,
    load: async () => (await import("./eval.ts")).evalScore,
  },
  "policy new": {
    summary: "Write a KV cache policy of your own to begin with",
    flags: POLICY_NEW_FLAGS,
    positionals: ["file"],
    load: async () => (await import("./policy_new.ts")).policyNew,
  },
  "policy check": {
    summary: "Look for faults in KV cache policies of your own, without a model",
    flags: POLICY_CHECK_FLAGS,
    positionals: ["file"],
    load: async () => (await import("./policy_check.ts")).policyCheck,
  },
  "policy try": {
    summary: "Compare KV cache policies of your own with some of Ebb's, in minutes",
    flags: POLICY_TRY_FLAGS,
    positionals: ["file"],
    load: async () => (await import("./policy_try.ts")).policyTry,
  },
  "bench serve": {
    summary: "Measure how fast a server with OpenAI's API answers",
    flags: BENCH_SERVE_FLAGS,
    load: async () => (await import("./bench.ts")).benchServe,
  },
  tasks: {
    summary: "Print a question about a long document, with its answers, as JSON",
    flags: TASKS_FLAGS,
    load: async () => (await import("./tasks.ts")).tasks,
  },
};
