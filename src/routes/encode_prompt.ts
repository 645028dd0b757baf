/** @file Prompts to tokens, as long as a client waits for them. */
import type { EncodeOptions } from "../text/tokenizer.ts";
import type { RouteContext } from "./context.ts";
import { ClientGoneError } from "./errors.ts";

/**
 * The tokens of a prompt.
 *
 * @param field of the request that holds it, for error messages
 * @param client aborted when the client has gone
 * @throws {UnservableRequestError} when the text is longer than any prompt of the model can be
 * @throws {QueueFullError} when too many texts wait to be encoded
 * @throws {ClientGoneError}
 */
export async function encodePrompt(
  { engine, text }: RouteContext,
  prompt: { readonly text: string; readonly encoding?: EncodeOptions },
  field: string,
  client: AbortSignal,
): Promise<Uint32Array<ArrayBuffer>> {
  const limit = { tokens: engine.model.contextLength, field };
  try {
    return await text.encode(prompt.text, { ...prompt.encoding, limit, signal: client });
  } catch (error) {
    throw client.aborted ? new ClientGoneError() : error;
  }
}
