/** @file Flags of the commands that answer: `serve`, `generate` and `chat`; see shared.ts. */
import { LOG_FORMATS, LOG_LEVELS } from "../log.ts";
import {
  type AnyFlag,
  apiKey,
  BETWEEN_TEXTS,
  bytes,
  hostName,
  integer,
  listOf,
  memoryShare,
  number,
  oneOf,
  onOff,
  type OptionsOf,
  origin,
  text,
  texts,
} from "../values.ts";
import { DEVICE_FLAGS, ENGINE_FLAGS, MAX_BATCH, modelFile } from "./shared.ts";

/** Where a command's other options may be written down. */
const CONFIG_FLAGS = {
  config: {
    value: text("FILE", "a JSON file"),
    help: 'JSON file with further options, such as {"max-batch": 8}; the command line and the environment win',
  },
  printConfig: { value: onOff, default: false, help: "Print all options as such a file would hold them, and stop" },
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

export type ServeOptions = OptionsOf<typeof SERVE_FLAGS>;
export type GenerateOptions = OptionsOf<typeof GENERATE_FLAGS>;
export type ChatOptions = OptionsOf<typeof CHAT_FLAGS>;
