/** @file Answers to what the HTTP parser does not let through to the application, as JSON like all other errors. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { HttpError } from "./errors.ts";

/** What the request was refused for, by the parser's code. */
const PARSER_ERRORS: Readonly<Record<string, HttpError>> = {
  HPE_HEADER_OVERFLOW: new HttpError(431, "The request's head is longer than 16 KiB", { code: "headers_too_large" }),
  ERR_HTTP_REQUEST_TIMEOUT: new HttpError(408, "The request's head did not come within its time", {
    code: "request_too_slow",
  }),
};
const MALFORMED = new HttpError(400, "The request is not valid HTTP", { code: "malformed_request" });
const NO_HOST = new HttpError(400, "The request has no Host, which HTTP 1.1 asks for", { code: "malformed_request" });
const NO_TUNNELS = new HttpError(405, "This server is no proxy: it does not take CONNECT", {
  code: "method_not_allowed",
  headers: { allow: "GET, HEAD, POST" },
});

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
};

/** Answers what never becomes a request. */
export function answerMalformed(server: Server): void {
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // A connection that broke, and one that has been answered.
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    endWith(socket, PARSER_ERRORS[error.code ?? ""] ?? MALFORMED);
  });
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    const expected = JSON.stringify(request.headers.expect);
    respond(response, new HttpError(417, `Expect is ${expected}; only 100-continue can be expected`));
  });
  server.on("connect", (_: IncomingMessage, socket: Duplex) => endWith(socket, NO_TUNNELS));
}

/** Answers a request that has no host although it must. @returns whether it did */
export function refuseWithoutHost(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.headers.host !== undefined || request.httpVersion === "1.0") return false;
  respond(response, NO_HOST);
  return true;
}

/** Answers with an error, and closes the connection. */
export function respond(response: ServerResponse, { status, body, headers }: HttpError): void {
  response.writeHead(status, { "content-type": "application/json", connection: "close", ...headers });
  response.end(JSON.stringify(body));
}

function endWith(socket: Duplex, { status, body, headers }: HttpError): void {
  const text = JSON.stringify(body);
  const head = {
    "content-type": "application/json",
    "content-length": new TextEncoder().encode(text).byteLength,
    connection: "close",
    ...headers,
  };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.end(`HTTP/1.1 ${status} ${REASONS[status]}\r\n${lines}\r\n${text}`);
}
