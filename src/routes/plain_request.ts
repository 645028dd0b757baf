/**
 * @file Answers requests without a body, such as those of health checks and scrapers, by the shortest way from node to the
 * application and back: head and body leave in one write, and the application gets as much of a request as it looks at. Deno takes
 * longer to make one of the standard's, with its signal, than to do all the rest.
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";

/** Methods whose replies are whole texts, in this application. */
const METHODS = ["GET", "HEAD"];

/** Of a request that is answered before its client could go. */
const NEVER = new AbortController().signal;

/** Whether a request can be answered by {@link answerPlain}. */
export function isPlain({ method, headers, url }: IncomingMessage): boolean {
  return METHODS.includes(method ?? "") && headers["content-length"] === undefined &&
    headers["transfer-encoding"] === undefined && url?.startsWith("/") === true;
}

/** What the application looks at of a request without a body. */
type PlainRequest = Pick<Request, "method" | "url" | "headers" | "body" | "signal">;

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
  const request: PlainRequest = {
    method: method!,
    // HTTP 1.0 asks for no host.
    url: new URL(`${scheme}://${headers.host ?? "localhost"}${url}`).href,
    headers: new Headers(pairsOf(rawHeaders)),
    body: null,
    signal: NEVER,
  };
  const reply = await app.fetch(request as Request);
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
