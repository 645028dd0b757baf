/** @file Errors as Anthropic's API words them: `{"type": "error", "error": {type, message}}`. */

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** Whether a path belongs to Anthropic's API. */
export function isMessagesPath(path: string): boolean {
  return /^\/v1\/messages(\/|$)/.test(path);
}

/** The body of an error reply, and the last event of a stream that failed. */
export function messagesErrorBody(
  { status, code, message }: { readonly status: number; readonly code: string | null; readonly message: string },
  requestId: string,
) {
  // By these words agents know that they should shorten the conversation.
  const told = code === "context_length_exceeded" ? `prompt is too long: ${message}` : message;
  return {
    type: "error" as const,
    error: { type: TYPES[status] ?? "invalid_request_error", message: told },
    request_id: requestId,
  };
}
