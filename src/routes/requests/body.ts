/** @file Reads the body of a request: its bytes as they come, no faster than they can be looked at, no slower than is fair. */
import type { ServerContext } from "../context.ts";
import { HttpError } from "../errors.ts";
import { serverState, unavailableError } from "../readiness.ts";
import type { BodyPace } from "./pace.ts";
import { JsonScanner } from "./scan.ts";

/** A request, as far as its body is read. */
export interface BodySource {
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/**
 * Reads and parses a body of JSON, whatever its content type. A byte order mark is skipped.
 *
 * @throws {HttpError} 400 if it is no JSON, or holds too much; 408 if it comes too slowly; 413 if it is too long; 503 if the server stops taking
 * requests before it has come
 */
export async function readJson(
  context: ServerContext,
  source: BodySource,
): Promise<{ value: unknown; text: string }> {
  const text = await readText(context, source);
  try {
    return { value: JSON.parse(text), text };
  } catch (error) {
    const reason = text.trim() === "" ? "is empty" : `is not valid JSON (${(error as Error).message})`;
    throw new HttpError(400, `The request body ${reason}; send a JSON object`, { code: "invalid_json" });
  }
}

async function readText(context: ServerContext, { headers, body }: BodySource): Promise<string> {
  if (body === null) return "";
  const { maxBodyBytes } = context;
  if (Number(headers.get("content-length")) > maxBodyBytes) throw longBody(maxBodyBytes);
  const reader = body.getReader();
  const { promise: ended, reject: end } = Promise.withResolvers<never>();
  const giveUp = () => {
    const state = serverState(context);
    end(unavailableError(state === "ready" ? "draining" : state));
  };
  context.drain?.addEventListener("abort", giveUp);
  let total = 0;
  /** Since the last look at the clock. */
  let received = 0;
  const { bytesPerSecond, intervalMilliseconds } = context.slowestBody;
  const watch = setInterval(() => {
    if (received * 1000 < bytesPerSecond * intervalMilliseconds) end(slowBody(context.slowestBody));
    received = 0;
  }, intervalMilliseconds);
  // A rejection while nothing is awaited must not count as unhandled.
  ended.catch(() => {});
  try {
    const scanner = new JsonScanner();
    const decoder = new TextDecoder();
    // Piece by piece, so that no piece of work is long.
    const pieces: string[] = [];
    for (;;) {
      const { value, done } = await Promise.race([reader.read(), ended]);
      if (done) break;
      received += value.byteLength;
      total += value.byteLength;
      if (total > maxBodyBytes) throw longBody(maxBodyBytes);
      scanner.push(value);
      pieces.push(decoder.decode(value, { stream: true }));
    }
    pieces.push(decoder.decode());
    return pieces.join("");
  } finally {
    // What is left is not cancelled: node's adapter would throw at the next piece. The listener drops it.
    clearInterval(watch);
    context.drain?.removeEventListener("abort", giveUp);
  }
}

function longBody(maxBodyBytes: number): HttpError {
  return new HttpError(413, `The request body is longer than ${maxBodyBytes} bytes`, { code: "request_too_large" });
}

function slowBody({ bytesPerSecond }: BodyPace): HttpError {
  return new HttpError(408, `The request body came at less than ${bytesPerSecond} bytes a second`, {
    code: "request_too_slow",
    headers: { connection: "close" },
  });
}
