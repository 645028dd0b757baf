/** @file How single tokens are shown beside their log-probabilities. */
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { PlacedToken } from "./choice_text.ts";

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** JSON has no infinity; this stands for a probability of zero, as elsewhere. */
const LOWEST_LOGPROB = -9999;

/** A token's text; a token that is only part of a character is written as `bytes:\xf0\x9f`, so that it stays distinct. */
export function tokenDisplay(tokenizer: Tokenizer, id: number): { text: string; bytes: number[] } {
  const bytes = tokenizer.tokenBytes(id);
  let text;
  try {
    text = strictDecoder.decode(bytes);
  } catch {
    text = `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
  return { text, bytes: [...bytes] };
}

/** A log-probability that survives JSON. */
export function finiteLogprob(logprob: number | undefined): number {
  return Math.max(logprob ?? LOWEST_LOGPROB, LOWEST_LOGPROB);
}

/** One entry of a chat completion's `logprobs.content`. */
export function chatLogprob(tokenizer: Tokenizer, { id, logprob, topLogprobs = [] }: PlacedToken) {
  const entry = (token: { id: number; logprob?: number }) => {
    const { text, bytes } = tokenDisplay(tokenizer, token.id);
    return { token: text, logprob: finiteLogprob(token.logprob), bytes };
  };
  return { ...entry({ id, logprob }), top_logprobs: topLogprobs.map(entry) };
}
