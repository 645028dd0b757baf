/** @file Why a grammar cannot be made. */

/** What was asked for cannot be expressed as a grammar. The message names the part at fault; it is for the client. */
export class UnsupportedGrammarError extends Error {
  override name = "UnsupportedGrammarError";
}
