/** @file Which tokens end a generation. */

/**
 * How models write the tokens that end a text, a turn or a message. Many files name only one of theirs, so llama.cpp
 * and its peers look for all of these in the vocabulary; so does Ebb.
 */
const END_TOKEN_TEXTS: readonly string[] = [
  "</s>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "<｜end▁of▁sentence｜>",
  "<eos>",
  "<EOT>",
  "_<EOT>",
  "▁<EOT>",
  "[EOT]",
  "[EOS]",
  // Infilling ends where the next file of a repository would begin.
  "<|fim_pad|>",
  "<fim-pad>",
  "<fim_pad>",
  "<PAD>",
  "[PAD]",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<REPO>",
  "<reponame>",
  "<|file_sep|>",
];

/** The ids in `named`, then those of all well-known end tokens that `idOf` finds, each once. */
export function endTokens(named: readonly number[], idOf: (text: string) => number | undefined): number[] {
  const known = END_TOKEN_TEXTS.map(idOf).filter((id) => id !== undefined);
  return [...new Set([...named, ...known])];
}
