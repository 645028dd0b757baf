/** @file The merges of byte-pair encoding as files write them: "left right", or a pair. */

import { ModelFileError } from "../formats/model_file.ts";
import type { Vocabulary } from "./vocabulary.ts";

/**
 * The two halves of a merge.
 *
 * @param field where the merge stands, for the error's message
 * @throws {ModelFileError} unless both halves and their union are tokens
 */
export function splitMerge(merge: string | readonly string[], vocabulary: Vocabulary, field: string): [string, string] {
  // The left half may itself start with a space in vocabularies that are not byte-level.
  const space = typeof merge === "string" ? merge.indexOf(" ", 1) : -1;
  const [left, right, ...more] = typeof merge !== "string"
    ? merge
    : space < 0
    ? [merge]
    : [merge.slice(0, space), merge.slice(space + 1)];
  if (!left || !right || more.length > 0) {
    throw new ModelFileError(`${field} is ${JSON.stringify(merge)}: expected two tokens with a space between them`);
  }
  for (const text of [left, right, left + right]) {
    if (vocabulary.idOf(text) === undefined) {
      throw new ModelFileError(
        `${field} is ${JSON.stringify(merge)}, but the vocabulary has no token ${JSON.stringify(text)}`,
      );
    }
  }
  return [left, right];
}
