/** @file Why a model could not be got from elsewhere. */

/** A failure to get a model; the message says what to do. */
export class HubError extends Error {
  override name = "HubError";
  /** @param isMissing there is no such model, or not for this user: trying again does not help */
  constructor(message: string, readonly isMissing = false) {
    super(message);
  }
}

/** What the user wrote names no model, or no hub, whatever there is. */
export class SourceError extends HubError {
  override name = "SourceError";
}

/** A failure that may pass: the connection broke, or the server is busy. */
export class TemporaryError extends Error {
  override name = "TemporaryError";
  /** @param waitSeconds what the server asks to wait */
  constructor(message: string, readonly waitSeconds = 0) {
    super(message);
  }
}
