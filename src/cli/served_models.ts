/** @file The models that `serve` is told to serve: their ids, and what of the KV cache's memory is each one's. */
import { basename } from "node:path";
import { isRemote } from "../hub/source.ts";
import { ExitError } from "./exit_codes.ts";
import type { ServeOptions } from "./flags/serving.ts";
import { bytes } from "./values.ts";

/** A model to serve. */
export interface ModelToServe {
  /** Undefined: its file's name, once that is known; of one model alone. */
  readonly id: string | undefined;
  /** A path or what is pulled; undefined: the model that comes with Ebb. */
  readonly path: string | undefined;
  /** Bytes. */
  readonly kvMemory: number | undefined;
}

type Options = Pick<ServeOptions, "model" | "modelId" | "alias" | "kvMemory" | "maxModels">;

/**
 * The models that the flags name, at least one.
 *
 * @throws {ExitError} with the reason `usage`, when ids or flags do not go together
 */
export function modelsToServe(options: Options): ModelToServe[] {
  const { model = [], modelId, alias = [] } = options;
  if (model.length <= 1) {
    const { id, path } = model.length === 0 ? { id: undefined, path: undefined } : named(model[0]);
    return withMemory([{ id: modelId ?? id, path }], options);
  }
  if (modelId !== undefined) {
    throw new ExitError("usage", `--model-id names one model, but there are ${model.length}: write --model ID=MODEL`);
  }
  const models = model.map(named).map(({ id, path }) => ({ id: id ?? fileId(path), path }));
  const taken = new Set<string>();
  for (const name of [...models.map(({ id }) => id), ...alias]) {
    if (taken.has(name)) throw new ExitError("usage", `Two models are called ${name}: write --model ID=MODEL`);
    taken.add(name);
  }
  return withMemory(models, options);
}

/** `ID=MODEL` in its parts. What is a file is no id; ids hold no slashes, so that those of URLs and folders are none. */
function named(text: string): { id: string | undefined; path: string } {
  const [, id, path] = /^([\w.:-]+)=(.+)$/.exec(text) ?? [];
  return id === undefined || exists(text) ? { id: undefined, path: text } : { id, path };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** The id of a model that is not loaded yet. */
function fileId(path: string): string {
  const name = basename(isRemote(path) ? path.replace(/[?#].*$/, "") : path);
  return name.replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
}

function withMemory(
  models: readonly Omit<ModelToServe, "kvMemory">[],
  { kvMemory = [], maxModels = models.length }: Options,
): ModelToServe[] {
  const sizeOf = (text: string) => bytes(1).parse(text.slice(text.lastIndexOf("=") + 1));
  const shared = kvMemory.filter((text) => !text.includes("="));
  if (shared.length > 1) {
    throw new ExitError("usage", `--kv-memory is ${shared.join(",")}: expected one size, or ID=BYTES for further ones`);
  }
  const own = new Map(
    kvMemory.filter((text) => text.includes("=")).map((text) => [text.slice(0, text.lastIndexOf("=")), sizeOf(text)]),
  );
  for (const id of own.keys()) {
    if (models.some((model) => model.id === id)) continue;
    const ids = models.map((model) => model.id ?? "one, which has no id").join(", ");
    throw new ExitError("usage", `--kv-memory names the model ${id}, but the models are ${ids}`);
  }
  const sharing = Math.min(maxModels, models.length - own.size);
  const part = shared.length === 0 ? undefined : Math.floor(sizeOf(shared[0])! / Math.max(sharing, 1));
  return models.map((model) => ({ ...model, kvMemory: own.get(model.id ?? "") ?? part }));
}
