/**
 * @file Every flag of the command line, as data. Parsing, environment variables, defaults and help texts all come from
 * these tables; `maxBatch` is `--max-batch` on the command line and `EBB_MAX_BATCH` in the environment.
 */
import { MAXIMUM_TASK_LENGTH, MINIMUM_TASK_LENGTH, TASK_FAMILY_NAMES } from "../eval/tasks/families.ts";
import { MODES } from "../eval/answerers/modes.ts";
import { DATASETS } from "../eval/load/prompts.ts";
import { type Goodput, TIMES } from "../eval/load/summary.ts";
import { SUITE_NAMES } from "../eval/suites/suites.ts";
import { FILE_TYPE_ALIASES, FILE_TYPES, type FileType } from "../conversion/file_types.ts";
import { DEVICE_CHOICES } from "../serving/device.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log.ts";
import {
  type AnyFlag,
  apiKey,
  BETWEEN_TEXTS,
  bytes,
  cacheBudget,
  hostName,
  integer,
  listOf,
  memoryShare,
  number,
  oneOf,
  onOff,
  type OptionsOf,
  origin,
  servedBudget,
  text,
  texts,
  type ValueType,
} from "./values.ts";

/** The state of a sequence takes memory whether it runs or not. */
const MAX_BATCH = 1024;

const goodput: ValueType<Goodput> = {
  placeholder: "NAME:MS,...",
  expectation: `a list of ${Object.keys(TIMES).join(", ")}, each with milliseconds, such as ttft:300,tpot:50`,
  parse(text) {
    const limits = text.split(",").map((part) => /^(\w+):(\d+(?:\.\d+)?)$/.exec(part.trim()));
    if (!limits.every((limit) => limit !== null && limit[1] in TIMES)) return undefined;
    return Object.fromEntries(limits.map((limit) => [limit![1], Number(limit![2])]));
  },
};

const modelFile = text(
  "MODEL",
  "a GGUF file, a directory with safetensors, hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL",
);

/** Whether there is one of that name is known when the plugins have been loaded: see policies.ts. */
const policyName = text("NAME", "the name of a KV cache policy");

const pluginPath = text("FILE", "a policy plugin, or a directory of such");

/** Flags of every command that knows policies. */
const PLUGIN_FLAGS = {
  plugin: {
    value: listOf(pluginPath),
    repeats: ",",
    help: "TypeScript file with KV cache policies of your own, or a directory of such; may be given several times",
  },
  sandboxPlugins: {
    value: onOff,
    default: false,
    help: "Run plugins in threads that can read, write and connect to nothing, and end those that do not answer",
  },
} as const satisfies Record<string, AnyFlag>;

/** KV rows per layer, where nothing else is said. */
export const DEFAULT_BUDGET = 1024;

/** Flags of every command that runs a model. */
const ENGINE_FLAGS = {
  model: {
    value: modelFile,
    help: "GGUF file, directory with safetensors, or hf:OWNER/REPO[:FILE], pulled by need; default: the model in Ebb",
  },
  policy: {
    value: policyName,
    default: "dynamickv",
    help: "KV cache policy of requests that name none, such as snapkv or snapkv+pyramidkv",
  },
  kvBudget: {
    value: servedBudget,
    default: DEFAULT_BUDGET,
    help:
      "KV rows per layer, on average, a share of the prompt such as 6.9%, or auto: as many as keep 98 % of the attention",
  },
  decodeEviction: {
    value: integer(1, 65536),
    help: "Evict generated rows too, after every N tokens, where a request names no other policy; default: never",
  },
  ...PLUGIN_FLAGS,
  context: {
    value: integer(1),
    help: "Longest prompt plus completion, in tokens; default: the model's own",
  },
} as const satisfies Record<string, AnyFlag>;

/** Where a command's other options may be written down. */
const CONFIG_FLAGS = {
  config: {
    value: text("FILE", "a JSON file"),
    help: 'JSON file with further options, such as {"max-batch": 8}; the command line and the environment win',
  },
  printConfig: { value: onOff, default: false, help: "Print all options as such a file would hold them, and stop" },
} as const satisfies Record<string, AnyFlag>;

/** What computes. */
const DEVICE_FLAGS = {
  device: {
    value: oneOf(...DEVICE_CHOICES),
    default: "auto",
    help: "What computes: a GPU, a software adapter of WebGPU's too; the CPU; or a GPU if there is one, else the CPU",
  },
  threads: {
    value: integer(1, 256),
    help: "Threads that compute on the CPU; default: as many as it has cores, up to 16",
  },
  cpuWeights: {
    value: oneOf("int8", "f32"),
    help: "Weights on the CPU: f32 is exact, int8 answers faster from a quarter of the memory; default: int8",
  },
} as const satisfies Record<string, AnyFlag>;

/** `serve`: the HTTP server. */
export const SERVE_FLAGS = {
  ...ENGINE_FLAGS,
  model: {
    value: { ...texts, placeholder: "[ID=]MODEL", expectation: modelFile.expectation },
    repeats: BETWEEN_TEXTS,
    help: `${ENGINE_FLAGS.model.help}; given several times, each is loaded when it is first asked for`,
  },
  maxModels: {
    value: integer(1),
    help: "Most models that are loaded at once; the one that was not used for longest makes room; default: all",
  },
  watchPlugins: { value: onOff, default: false, help: "Load plugins anew when their files change" },
  ...DEVICE_FLAGS,
  host: { value: hostName, default: "127.0.0.1", help: "Address to listen on" },
  port: { value: integer(0, 65535), default: 8000, help: "Port to listen on; 0 takes a free one" },
  socket: { value: text("PATH", "a path"), help: "Unix socket to listen on, instead of an address and a port" },
  tlsCert: { value: text("FILE", "a file"), help: "Certificate chain (PEM) for HTTPS; needs --tls-key" },
  tlsKey: { value: text("FILE", "a file"), help: "Private key (PEM) for HTTPS; needs --tls-cert" },
  kvMemory: {
    value: listOf(memoryShare),
    help:
      "Memory for the KV cache, such as 512MiB or 2G, in equal parts for several models, or ID=2G for one of them; " +
      "default: what the batch and context need",
  },
  prefixCache: {
    value: bytes(0),
    help: "How much of it may keep prompts for others that begin alike, while nobody needs it; default: all; 0: none",
  },
  kvType: { value: oneOf("f16", "f32"), help: "Element type of the KV cache; default: f16 on a GPU, f32 on the CPU" },
  maxBatch: { value: integer(1, MAX_BATCH), default: 16, help: "Most sequences that run at once" },
  maxQueue: { value: integer(0), default: 256, help: "Most requests that wait; further ones get HTTP 503" },
  modelId: { value: text("NAME", "a name"), help: "Id of the model in the API; default: its file name" },
  alias: { value: listOf(text("NAME", "a name")), help: "Further names of the model, or of the first, in the API" },
  embeddingModel: {
    value: text("FOLDER", "a folder with model.onnx and tokenizer.json"),
    help: "Encoder for /v1/embeddings and /v1/rerank: folder with model.onnx and tokenizer.json; default: none",
  },
  apiKey: { value: apiKey, isSecret: true, help: "Key that clients must send; default: none is asked for" },
  apiKeyFile: {
    value: text("FILE", "a file"),
    help: "JSON object of names and the keys that clients must send; read again on SIGHUP",
  },
  requestsPerMinute: {
    value: integer(1),
    help: "Most requests a minute for each key, or for all clients without keys; further ones get HTTP 429",
  },
  requestTimeout: {
    value: number(0.001, 1e6),
    help: "Most seconds that a request may take, in the queue and at work; default: no limit",
  },
  allowedOrigins: {
    value: listOf(origin),
    help: "Origins whose web pages may call the API, such as http://localhost:3000, or * for any; default: none",
  },
  allowedHosts: {
    value: listOf(hostName),
    help: "Names by which clients may call the server, beside its address and localhost, or * for any; default: none",
  },
  specialTokensInMessages: {
    value: onOff,
    default: false,
    help: "Read special tokens that chat messages spell, such as <|im_end|>, as tokens rather than as text",
  },
  logFormat: { value: oneOf(...LOG_FORMATS), default: "json", help: "How lines of the log are written" },
  logLevel: { value: oneOf(...LOG_LEVELS), default: "info", help: "Least level of the lines that are written" },
  ...CONFIG_FLAGS,
} as const satisfies Record<string, AnyFlag>;

/** How tokens are drawn, in the bounds that the API has too. */
const SAMPLING_FLAGS = {
  temperature: { value: number(0, 100), help: "Randomness; 0 always takes the most likely token" },
  topK: { value: integer(0), help: "Sample from so many most likely tokens; 0: from all" },
  topP: { value: number(0, 1), help: "Sample from the most likely tokens that together reach this mass" },
  minP: { value: number(0, 1), help: "Drop tokens less likely than this fraction of the most likely one" },
  frequencyPenalty: { value: number(-2, 2), help: "Make a token less likely each time that it was generated" },
  presencePenalty: { value: number(-2, 2), help: "Make tokens that were generated less likely, once" },
  repetitionPenalty: {
    value: number(0.01, 100),
    help: "Divide the logits of tokens in the prompt or the answer; 1: do not",
  },
  seed: { value: integer(0, 2 ** 32 - 1), help: "Seed of the random numbers; default: another each time" },
  stop: {
    value: texts,
    repeats: BETWEEN_TEXTS,
    help: "Text at which to stop, not shown itself; may be given several times",
  },
} as const satisfies Record<string, AnyFlag>;

const systemFlag = { value: text("TEXT", "a text"), help: "System message; default: none" } as const;

/** `generate`: one completion on the terminal. */
export const GENERATE_FLAGS = {
  ...ENGINE_FLAGS,
  ...DEVICE_FLAGS,
  prompt: { value: text("TEXT", "a text"), required: true, help: "Text to continue; - reads standard input" },
  chat: { value: onOff, default: false, help: "Answer the prompt as a message, by the model's chat template" },
  system: { ...systemFlag, needs: "chat", help: "System message; for --chat" },
  maxTokens: { value: integer(1), default: 128, help: "Most tokens to generate" },
  ...SAMPLING_FLAGS,
  temperature: { ...SAMPLING_FLAGS.temperature, default: 0 },
} as const satisfies Record<string, AnyFlag>;

/** `chat`: a conversation on the terminal. */
export const CHAT_FLAGS = {
  ...ENGINE_FLAGS,
  ...DEVICE_FLAGS,
  system: systemFlag,
  maxTokens: { value: integer(1), help: "Most tokens of an answer; default: as many as the context has room for" },
  ...SAMPLING_FLAGS,
} as const satisfies Record<string, AnyFlag>;

/** `inspect`: what a model file holds. */
export const INSPECT_FLAGS = {
  model: { value: modelFile, required: true, help: "GGUF file, directory with safetensors, or hf:OWNER/REPO[:FILE]" },
  json: { value: onOff, default: false, help: "Print JSON" },
} as const satisfies Record<string, AnyFlag>;

/** `pull`: gets a model. */
export const PULL_FLAGS = {
  model: {
    value: text("MODEL", "hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL"),
    required: true,
    help: "Repository of the hub, a file of it (or a word of its name, such as Q8_0), or a URL",
  },
} as const satisfies Record<string, AnyFlag>;

const fileTypes: ValueType<FileType> = {
  placeholder: "TYPE",
  expectation: Object.keys({ ...FILE_TYPES, ...FILE_TYPE_ALIASES }).join(", "),
  parse: (text) => Object.keys(FILE_TYPES).find((type): type is FileType => type === text) ?? FILE_TYPE_ALIASES[text],
};

const ggufOut = { value: text("OUT.gguf", "a file to write"), required: true, help: "File to write" } as const;

/** `convert`: from safetensors to GGUF. */
export const CONVERT_FLAGS = {
  model: {
    value: text("FOLDER", "a folder with safetensors, or hf:OWNER/REPO"),
    required: true,
    help: "Folder with config.json, tokenizer.json and safetensors, or hf:OWNER/REPO",
  },
  out: ggufOut,
  type: { value: fileTypes, help: "Type of the weights, such as Q8_0; default: as in the folder" },
} as const satisfies Record<string, AnyFlag>;

/** `quantize`: the same model in fewer bits. */
export const QUANTIZE_FLAGS = {
  model: {
    value: text("IN.gguf", "a GGUF file, hf:OWNER/REPO:FILE or a URL"),
    required: true,
    help: "GGUF file, of F32, F16 or BF16 for the best result, or hf:OWNER/REPO:FILE",
  },
  out: ggufOut,
  type: {
    value: fileTypes,
    required: true,
    help: `Type of the weights: ${Object.keys(FILE_TYPES).join(", ")}; Q4_K and Q5_K are their M`,
  },
} as const satisfies Record<string, AnyFlag>;

/** `models`: lists the cache. */
export const MODELS_FLAGS = {} as const satisfies Record<string, AnyFlag>;

/** `rm`: deletes a model. */
export const RM_FLAGS = {
  name: { value: text("NAME", "a name that main.ts models lists"), required: true, help: "Model, as models lists it" },
} as const satisfies Record<string, AnyFlag>;

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
    help: "Compress with the question, before it, or ask a second one of the same cache; or evict while tokens are fed",
  },
  policies: {
    value: listOf(policyName),
    default: ["streaming", "h2o", "snapkv", "pyramidkv", "dynamickv"],
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
    value: text("URL", "an address such as http://localhost:8000"),
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

const policyFile = { value: pluginPath, required: true, help: "File with policies, or a directory of such" } as const;

/** `policy new`: a file to begin with. */
export const POLICY_NEW_FLAGS = {
  file: {
    value: text("FILE", "a file to write, such as mine.ts"),
    required: true,
    help: "File to write, such as mine.ts",
  },
} as const satisfies Record<string, AnyFlag>;

/** `policy check`: faults of policies. */
export const POLICY_CHECK_FLAGS = {
  file: policyFile,
  out: {
    value: text("FILE.svg", "a file to write"),
    help: "Picture of the rows that layers keep; default: the policy's file with .check.svg at its end",
  },
} as const satisfies Record<string, AnyFlag>;

/** `policy try`: a small comparison. */
export const POLICY_TRY_FLAGS = {
  file: policyFile,
  model: ENGINE_FLAGS.model,
  device: DEVICE_FLAGS.device,
  budget: { value: cacheBudget, default: 64, help: "KV rows per layer, on average, or a share of the prompt" },
  length: {
    value: integer(MINIMUM_TASK_LENGTH, MAXIMUM_TASK_LENGTH),
    default: 512,
    help: "Length of the prompts, in tokens",
  },
  samples: { value: integer(1), default: 6, help: "Questions of each task" },
  out: {
    value: text("FILE.svg", "a file to write"),
    help: "Picture of the scores; default: the policy's file with .try.svg at its end",
  },
} as const satisfies Record<string, AnyFlag>;

/** `bench serve`: a server's speed. */
export const BENCH_SERVE_FLAGS = {
  url: {
    value: text("URL", "an address such as http://localhost:8000"),
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

export type ServeOptions = OptionsOf<typeof SERVE_FLAGS>;
export type GenerateOptions = OptionsOf<typeof GENERATE_FLAGS>;
export type ChatOptions = OptionsOf<typeof CHAT_FLAGS>;
export type InspectOptions = OptionsOf<typeof INSPECT_FLAGS>;
export type PullOptions = OptionsOf<typeof PULL_FLAGS>;
export type ConvertOptions = OptionsOf<typeof CONVERT_FLAGS>;
export type QuantizeOptions = OptionsOf<typeof QUANTIZE_FLAGS>;
export type RmOptions = OptionsOf<typeof RM_FLAGS>;
export type EvalScoreOptions = OptionsOf<typeof EVAL_SCORE_FLAGS>;
export type EvalCompareOptions = OptionsOf<typeof EVAL_COMPARE_FLAGS>;
export type PolicyNewOptions = OptionsOf<typeof POLICY_NEW_FLAGS>;
export type PolicyCheckOptions = OptionsOf<typeof POLICY_CHECK_FLAGS>;
export type PolicyTryOptions = OptionsOf<typeof POLICY_TRY_FLAGS>;
export type BenchServeOptions = OptionsOf<typeof BENCH_SERVE_FLAGS>;
export type TasksOptions = OptionsOf<typeof TASKS_FLAGS>;
