/** @file How single tokens are shown beside their log-probabilities. */
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { PlacedToken } from "./choice_text.ts";
import type { PromptToken } from "./prompt_logprobs.ts";

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

/** How a token is named beside its log-probability: by its text, or as vLLM does where ids are wanted. */
export function tokenName(tokenizer: Tokenizer, id: number, asId: boolean | null | undefined): string {
  return asId ? `token_id:${id}` : tokenDisplay(tokenizer, id).text;
}

/** A log-probability that survives JSON. */
export function finiteLogprob(logprob: number | undefined): number {
  return Math.max(logprob ?? LOWEST_LOGPROB, LOWEST_LOGPROB);
}

/** One entry of a chat completion's `logprobs.content`. */
export function chatLogprob(
  tokenizer: Tokenizer,
  { id, logprob, topLogprobs = [] }: PlacedToken,
  asId?: boolean | null,
) {
  const entry = (token: { id: number; logprob?: number }) => ({
    token: tokenName(tokenizer, token.id, asId),
    logprob: finiteLogprob(token.logprob),
    bytes: tokenDisplay(tokenizer, token.id).bytes,
  });
  return { ...entry({ id, logprob }), top_logprobs: topLogprobs.map(entry) };
}

/** One entry of vLLM's `prompt_logprobs`: by id, the token and the likeliest ones in its place; null for the first token. */
export function promptLogprob(tokenizer: Tokenizer, { id, logprob, rank = null, topLogprobs = [] }: PromptToken) {
  if (logprob === undefined) return null;
  const entry = (token: { id: number; logprob: number }, rank: number | null) =>
    [token.id, {
      logprob: finiteLogprob(token.logprob),
      rank,
      decoded_token: tokenDisplay(tokenizer, token.id).text,
    }] as const;
  return Object.fromEntries([entry({ id, logprob }, rank), ...topLogprobs.map((top, at) => entry(top, at + 1))]);
}
