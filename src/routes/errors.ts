/** @file Errors as the OpenAI API words them: `{"error": {message, type, param, code}}` and a status. */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { EngineUnavailableError, QueueFullError, UnservableRequestError } from "../contract/errors.ts";
import { isMessagesPath, messagesErrorBody } from "./messages/errors.ts";
import { ChatTemplateError } from "../text/chat_template.ts";

/** The body of every error reply, and the last event but one of a stream that failed. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The field of the request at fault. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** What each status means. */
const TYPES = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "invalid_request_error",
  405: "invalid_request_error",
  408: "invalid_request_error",
  413: "invalid_request_error",
  417: "invalid_request_error",
  431: "invalid_request_error",
  429: "rate_limit_error",
  499: "invalid_request_error",
  500: "server_error",
  503: "server_error",
  504: "server_error",
} as const;

/** The statuses of errors. 499 is nginx's for a client that has gone. */
export type ErrorStatus = keyof typeof TYPES;

/** Seconds after which a client that met an overloaded, loading or draining server should ask again. */
const RETRY_AFTER_SECONDS = "1";

/** Most characters of a message, and of a field's name, in a reply: a client may have sent megabytes. */
const MAX_MESSAGE_CHARACTERS = 2000;
const MAX_NAME_CHARACTERS = 100;

/** The beginning of a text that may be long, and may hold half a character. */
export function clipped(text: string, characters: number = MAX_NAME_CHARACTERS): string {
  return (text.length > characters ? `${text.slice(0, characters)}...` : text).toWellFormed();
}

/** An error with the HTTP reply that it becomes. */
export class HttpError extends Error {
  override name = "HttpError";
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly status: ErrorStatus,
    message: string,
    { param = null, code = null, headers = {} }: {
      param?: string | null;
      code?: string | null;
      headers?: Record<string, string>;
    } = {},
  ) {
    super(clipped(message, MAX_MESSAGE_CHARACTERS));
    this.param = param && clipped(param);
    this.code = code;
    // Clients retry every status from 500 on; what failed inside the server would only fail again, or take as long.
    this.headers = status === 503
      ? { "retry-after": RETRY_AFTER_SECONDS, ...headers }
      : status === 500 || status === 504
      ? { "x-should-retry": "false", ...headers }
      : headers;
  }

  /** The same, with the field at fault by its name in another API. */
  renamed(rename: (field: string) => string): HttpError {
    const { status, message, param, code, headers } = this;
    return new HttpError(status, message, { param: param && rename(param), code, headers });
  }

  get body(): ErrorBody {
    return { error: { message: this.message, type: TYPES[this.status], param: this.param, code: this.code } };
  }
}

/** The client has closed the connection; nobody reads this. */
export class ClientGoneError extends HttpError {
  constructor() {
    super(499, "The client closed the connection");
  }
}

/** Finds the reply for anything thrown; what is not meant for clients becomes a 500 that tells nothing. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof UnservableRequestError) {
    return new HttpError(400, error.message, { param: error.field, code: error.code });
  }
  if (error instanceof ChatTemplateError) {
    const fields = { param: "messages", code: "chat_template_error" };
    return new HttpError(error.fault === "template" ? 500 : 400, error.message, fields);
  }
  // While its body was being read.
  if (error instanceof Error && "code" in error && error.code === "ECONNRESET") return new ClientGoneError();
  if (error instanceof EngineUnavailableError) return new HttpError(503, error.message, { code: "engine_unavailable" });
  if (error instanceof QueueFullError) return new HttpError(503, error.message, { code: "queue_full" });
  return new HttpError(500, "Internal error; the server's log has the details", { code: "internal_error" });
}

/** The reply of an error, in the words of the API that the request's path belongs to. */
export function sendError(c: Context, error: HttpError): Response {
  const { requestId } = c.var;
  const body = isMessagesPath(c.req.path) ? messagesErrorBody(error, requestId) : error.body;
  // Hono's types know the standard's statuses only.
  return c.json(body, error.status as ContentfulStatusCode, error.headers);
}
