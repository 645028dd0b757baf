/** @file Which files of a repository make the model that was asked for. */
import { HubError } from "./hub_error.ts";
import type { Repository, RepositoryFile } from "./repository.ts";

/** The files of one model. */
export interface ChosenFiles {
  /** What to open: a GGUF file, or nothing for the folder of safetensors. */
  readonly main?: string;
  readonly files: readonly RepositoryFile[];
}

/** A part of a GGUF file in several: NAME-00001-of-00003.gguf. */
const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** Of several GGUF files, this is taken where none is named: 4.5 bits a weight, and little lost. */
const USUAL = "Q4_K_M";

/** What a folder with safetensors needs beside the weights. */
const COMPANIONS =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|chat_template)\.json$|^chat_template\.jinja$/;

const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/;

/**
 * @param wanted a file's path, or a word of its name such as `Q8_0`
 * @throws {HubError} when no file fits or several do, listing them
 */
export function chooseFiles({ name, files }: Repository, wanted: string | undefined): ChosenFiles {
  // Parts count as the first of them.
  const models = files.filter(({ path }) => path.endsWith(".gguf") && (PART.exec(path)?.[2] ?? "00001") === "00001");
  const exact = models.find(({ path }) => path === wanted) ?? (models.length === 1 && !wanted ? models[0] : undefined);
  if (exact !== undefined) return withParts(name, files, exact);
  if (wanted !== undefined || models.length > 0) {
    return withParts(name, files, only(name, models, wanted ?? USUAL));
  }
  const folder = files.filter(({ path }) => COMPANIONS.test(path) || WEIGHTS.test(path));
  const has = (pattern: RegExp) => folder.some(({ path }) => pattern.test(path));
  if (has(/^config\.json$/) && has(/\.safetensors$/)) return { files: folder };
  throw new HubError(
    `hf:${name} has neither a GGUF file nor config.json with model.safetensors: it is no model that Ebb can run`,
    true,
  );
}

/** The files whose name has a word, between anything but letters and digits; capitals do not count. */
function matches(models: readonly RepositoryFile[], word: string): RepositoryFile[] {
  const escaped = word.toLowerCase().replace(/[^\w]/g, "\\$&");
  const pattern = new RegExp(`(^|[^a-z\\d])${escaped}($|[^a-z\\d_])`);
  return models.filter(({ path }) => pattern.test(path.toLowerCase()));
}

/** The one file whose name has a word. */
function only(name: string, models: readonly RepositoryFile[], word: string): RepositoryFile {
  const fitting = matches(models, word);
  if (fitting.length === 1) return fitting[0];
  const shown = (fitting.length > 0 ? fitting : models).map(({ path }) => path);
  throw new HubError(
    `${fitting.length > 0 ? "More than one" : "No"} GGUF file of hf:${name} has ${JSON.stringify(word)} in its name: ` +
      `name one after a colon${shown.length > 0 ? `\n  ${shown.join("\n  ")}` : ", but there is none"}`,
    true,
  );
}

function withParts(name: string, files: readonly RepositoryFile[], main: RepositoryFile): ChosenFiles {
  const part = PART.exec(main.path);
  if (part === null) return { main: main.path, files: [main] };
  const [, prefix, , count] = part;
  const parts = Array.from({ length: Number(count) }, (_, i) => {
    const path = `${prefix}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`;
    const file = files.find((one) => one.path === path);
    if (file === undefined) throw new HubError(`hf:${name} lacks ${path}, a part of ${main.path}`, true);
    return file;
  });
  return { main: main.path, files: parts };
}
