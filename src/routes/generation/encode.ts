/** @file Prompts as tokens, without work for those that cannot be served, and without holding up everybody else. */
import type { EncodeOptions } from "../../text/tokenizer.ts";
import type { RouteContext } from "../context.ts";
import { ClientGoneError, HttpError } from "../errors.ts";

/** How long texts may be encoded, in milliseconds, before others have their turn on the thread. */
const TURN_MILLISECONDS = 10;

/** What a text is encoded for. */
export interface EncodingTask {
  /** The field that holds the texts, for error messages. */
  readonly field: string;
  /** Aborted when the client goes: what is left is not encoded. */
  readonly client: AbortSignal;
  readonly options?: EncodeOptions;
}

/**
 * The tokens of texts, one after the other.
 *
 * @throws {HttpError} 400 if a text is so long that its tokens cannot fit the context, whatever they are; 499 if the client
 * has gone
 */
export async function encodeTexts(
  context: RouteContext,
  texts: readonly string[],
  { field, client, options }: EncodingTask,
): Promise<Uint32Array<ArrayBuffer>[]> {
  for (const text of texts) requireHope(context, text, field);
  const encoded: Uint32Array<ArrayBuffer>[] = [];
  let turn = performance.now();
  for (const text of texts) {
    if (client.aborted) throw new ClientGoneError();
    encoded.push(await context.text.encode(text, options));
    if (performance.now() - turn < TURN_MILLISECONDS) continue;
    await new Promise((resolve) => setTimeout(resolve));
    turn = performance.now();
  }
  return encoded;
}

function requireHope({ engine, longestToken }: RouteContext, text: string, field: string): void {
  const { contextLength } = engine.model;
  // A UTF-16 unit is a byte of UTF-8 or more.
  const least = Math.ceil(text.length / longestToken);
  if (least <= contextLength) return;
  throw new HttpError(
    400,
    `This model's maximum context length is ${contextLength} tokens. However, the ${field} has ${text.length} ` +
      `characters, which are ${least} tokens at the very least. Shorten the prompt`,
    { param: field, code: "context_length_exceeded" },
  );
}
