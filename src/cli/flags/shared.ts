/**
 * @file The flags of the command line, as data, a file for each kind of command; here is what they share. Parsing, environment
 * variables, defaults and help texts all come from these tables; `maxBatch` is `--max-batch` on the command line and
 * `EBB_MAX_BATCH` in the environment.
 */
import { DEVICE_CHOICES } from "../../serving/device.ts";
import { type AnyFlag, integer, listOf, oneOf, onOff, servedBudget, text } from "../values.ts";

/** The state of a sequence takes memory whether it runs or not. */
export const MAX_BATCH = 1024;

export const modelFile = text(
  "MODEL",
  "a GGUF file, a directory with safetensors, hf:OWNER/REPO, hf:OWNER/REPO:FILE or a URL",
);

/** Whether there is one of that name is known when the plugins have been loaded: see policies.ts. */
export const policyName = text("NAME", "the name of a KV cache policy");

export const pluginPath = text("FILE", "a policy plugin, or a directory of such");

/** Flags of every command that knows policies. */
export const PLUGIN_FLAGS = {
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
export const ENGINE_FLAGS = {
  model: {
    value: modelFile,
    help: "GGUF file, directory with safetensors, or hf:OWNER/REPO[:FILE], pulled by need; default: the model in Ebb",
  },
  policy: {
    value: policyName,
    default: "ebbkv",
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

/** What computes. */
export const DEVICE_FLAGS = {
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
