/**
 * @file A folder with an encoder as sentence-transformers and optimum lay one out: `model.onnx` and `tokenizer.json`, and files
 * that say how texts are read. What a file says and Ebb does not do is refused by name.
 */
import { join } from "node:path";
import { isJsonObject, type JsonObject, readJsonObject } from "../formats/json_object.ts";
import { ModelFileError } from "../formats/model_file.ts";
import type { Pooling } from "./pooling.ts";
import { systemReason } from "../formats/system_reason.ts";

/** What a folder says about its encoder. */
export interface EncoderFolder {
  /** Of the ONNX file. */
  readonly modelPath: string;
  /** `tokenizer.json` and `tokenizer_config.json`. */
  readonly tokenizer: JsonObject;
  readonly tokenizerConfig: JsonObject;
  readonly maximumTokens: number;
  readonly pooling: Pooling;
  readonly normalises: boolean;
  /** Of a reranker: scores are logits themselves, rather than their sigmoid. */
  readonly scoresAreLogits: boolean;
}

/** Where the ONNX file may lie. */
const MODEL_PATHS = ["model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx"];

/** What BERT was made for; where no file says anything. */
const USUAL_MAXIMUM = 512;

/** What nobody's tokenizer means as a limit: transformers writes 10^30 for "none". */
const NO_LIMIT = 1e6;

const POOLINGS: Readonly<Record<string, Pooling>> = {
  pooling_mode_mean_tokens: "mean",
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
  pooling_mode_lasttoken: "lasttoken",
};

/** @throws {ModelFileError} when a file is missing, damaged, or asks for what is not supported */
export async function readEncoderFolder(folder: string): Promise<EncoderFolder> {
  const read = async (path: string) => await readJsonObject(join(folder, path)) ?? {};
  const tokenizer = await readJsonObject(join(folder, "tokenizer.json"));
  if (tokenizer === undefined) {
    throw new ModelFileError(`${folder} has no tokenizer.json: expected a folder with model.onnx and tokenizer.json`);
  }
  const tokenizerConfig = await read("tokenizer_config.json");
  const config = await read("config.json");
  const sentence = await read("sentence_bert_config.json");
  const general = await read("config_sentence_transformers.json");
  if (typeof general.default_prompt_name === "string") {
    throw new ModelFileError(
      `${folder}/config_sentence_transformers.json: default_prompt_name is ${
        JSON.stringify(general.default_prompt_name)
      }: ` +
        "prompts before texts are not supported, expected null",
    );
  }
  return {
    modelPath: await findModel(folder),
    tokenizer,
    tokenizerConfig,
    maximumTokens: limitOf([
      sentence.max_seq_length,
      isJsonObject(tokenizer.truncation) ? tokenizer.truncation.max_length : undefined,
      tokenizerConfig.model_max_length,
      config.max_position_embeddings,
    ]),
    ...await readModules(folder),
    scoresAreLogits: /Identity$/.test(activationOf(config)),
  };
}

async function findModel(folder: string): Promise<string> {
  for (const path of MODEL_PATHS) {
    const found = await Deno.stat(join(folder, path)).catch(() => undefined);
    if (found?.isFile) return join(folder, path);
  }
  throw new ModelFileError(`${folder} has none of ${MODEL_PATHS.join(", ")}: expected an encoder in ONNX`);
}

function limitOf(candidates: readonly unknown[]): number {
  const limit = candidates.find((value) =>
    Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < NO_LIMIT
  );
  return limit as number | undefined ?? USUAL_MAXIMUM;
}

/** The steps after the transformer. Without `modules.json`: the mean, scaled to length 1, as most encoders were trained. */
async function readModules(folder: string): Promise<Pick<EncoderFolder, "pooling" | "normalises">> {
  let modules: unknown;
  try {
    modules = JSON.parse(await Deno.readTextFile(join(folder, "modules.json")));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { pooling: "mean", normalises: true };
    throw new ModelFileError(`${folder}/modules.json cannot be read: ${systemReason(error)}`);
  }
  const found: { pooling?: Pooling; normalises: boolean } = { normalises: false };
  for (const module of Array.isArray(modules) ? modules.filter(isJsonObject) : []) {
    const type = String(module.type).split(".").at(-1);
    if (type === "Pooling") found.pooling = await readPooling(join(folder, String(module.path), "config.json"));
    else if (type === "Normalize") found.normalises = true;
    else if (type !== "Transformer") {
      throw new ModelFileError(
        `${folder}/modules.json has a module ${module.type}: expected Transformer, Pooling, Normalize`,
      );
    }
  }
  if (found.pooling === undefined) throw new ModelFileError(`${folder}/modules.json has no Pooling: expected one`);
  return { pooling: found.pooling, normalises: found.normalises };
}

async function readPooling(path: string): Promise<Pooling> {
  const config = await readJsonObject(path);
  if (config === undefined) throw new ModelFileError(`${path} does not exist: modules.json names it`);
  const modes = Object.keys(config).filter((name) => name.startsWith("pooling_mode_") && config[name] === true);
  if (modes.length === 1 && Object.hasOwn(POOLINGS, modes[0])) return POOLINGS[modes[0]];
  throw new ModelFileError(
    `${path} sets ${modes.join(" and ") || "no pooling mode"}: expected one of ${Object.keys(POOLINGS).join(", ")}`,
  );
}

/** What sentence-transformers applies to a cross-encoder's logit; a sigmoid where nothing is said. */
function activationOf(config: JsonObject): string {
  const own = config.sentence_transformers;
  return String(
    (isJsonObject(own) ? own.activation_fn : undefined) ?? config.sbert_ce_default_activation_function ?? "",
  );
}
