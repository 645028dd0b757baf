/** @file Loads the tokenizer of a model file. */

import type { ModelFile } from "../formats/model_file.ts";
import { ggufTokenizer, type Warn } from "./gguf_tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { readTokenizerFiles, tokenizerFromFiles } from "./tokenizer_json.ts";

/**
 * The tokenizer of a model: from a GGUF file's metadata, or from the `tokenizer.json` of a safetensors directory.
 *
 * @param warn is told what is odd about the file, though it is read. Default: nobody
 * @throws {ModelFileError} when the tokenizer is missing, damaged or of an unknown kind
 */
export async function loadTokenizer(file: ModelFile, warn?: Warn): Promise<Tokenizer> {
  if (file.format === "gguf") return ggufTokenizer(file.metadata, warn);
  return tokenizerFromFiles(await readTokenizerFiles(file.path), file.metadata);
}
