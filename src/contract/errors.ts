/** @file Why an engine takes no request, or does not even start. */

/** A size that was asked for is none that this device and model can have. The message names the flag and the limit. */
export class SizeError extends RangeError {
  override name = "SizeError";
}

/** The queue is full: HTTP 503 with retry-after. */
export class QueueFullError extends Error {
  override name = "QueueFullError";
}

/** The engine takes no requests now, and perhaps never again: HTTP 503. */
export class EngineUnavailableError extends Error {
  override name = "EngineUnavailableError";
}

/** The request can never be run, whatever the load: HTTP 400. `field` names the part of the request at fault. */
export class UnservableRequestError extends Error {
  override name = "UnservableRequestError";
  constructor(message: string, readonly field: string, readonly code: string | null = null) {
    super(message);
  }
}
