/** @file Prompts as tokens, without work for those that cannot be served, and without holding up everybody else. */
import type { EncodeOptions } from "../../text/tokenizer.ts";
import type { RouteContext } from "../context.ts";
import { ClientGoneError } from "../errors.ts";
import { Turns } from "./turns.ts";

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
 * @throws {UnservableRequestError} if a text is so long that its tokens cannot fit the context, whatever they are
 * @throws {QueueFullError} if too many texts wait to be encoded @throws {ClientGoneError}
 */
export async function encodeTexts(
  context: RouteContext,
  texts: readonly string[],
  { field, client, options }: EncodingTask,
): Promise<Uint32Array<ArrayBuffer>[]> {
  const limit = { tokens: context.engine.model.contextLength, field };
  const encoded: Uint32Array<ArrayBuffer>[] = [];
  const turns = new Turns();
  for (const text of texts) {
    try {
      encoded.push(await context.text.encode(text, { ...options, limit, signal: client }));
    } catch (error) {
      throw client.aborted ? new ClientGoneError() : error;
    }
    await turns.next();
  }
  return encoded;
}
