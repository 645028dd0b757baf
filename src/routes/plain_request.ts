/**
 * @file Answers requests without a body, such as those of health checks and scrapers, by the shortest way from node to the
 * application and back: one request is made for it, and head and body leave in one write. The adapter's way makes two requests.
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";

/** Methods whose replies are whole texts, in this application. */
const METHODS = ["GET", "HEAD"];

/** Whether a request can be answered by {@link answerPlain}. */
export function isPlain({ method, headers, url }: IncomingMessage): boolean {
  return METHODS.includes(method ?? "") && headers["content-length"] === undefined &&
    headers["transfer-encoding"] === undefined && url?.startsWith("/") === true;
}

/**
 * @param app answers with a whole text
 * @throws {TypeError} if the request cannot be put as the standard's own
 */
export async function answerPlain(
  app: { fetch(request: Request): Response | Promise<Response> },
  { method, url, headers, rawHeaders, socket }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const scheme = "encrypted" in socket ? "https" : "http";
  // HTTP 1.0 asks for no host.
  const address = new URL(`${scheme}://${headers.host ?? "localhost"}${url}`);
  const reply = await app.fetch(new Request(address, { method, headers: pairsOf(rawHeaders) }));
  const text = await reply.text();
  const head: Record<string, string | number> = Object.fromEntries(reply.headers);
  head["content-length"] ??= Buffer.byteLength(text);
  response.writeHead(reply.status, head);
  response.end(method === "HEAD" ? undefined : text);
}

/** node lists names and values by turns. */
function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, i) => [rawHeaders[2 * i], rawHeaders[2 * i + 1]]);
}
