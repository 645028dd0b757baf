/** @file Server-sent events in the wire format of the OpenAI API. */
import type { HttpError } from "./errors.ts";

const encoder = new TextEncoder();
const DONE = encoder.encode("data: [DONE]\n\n");
/** A comment, which every client skips; it keeps proxies from closing a connection that has nothing to say yet. */
export const PING = encoder.encode(": ping\n\n");

/** Headers of a reply that is an event stream. */
export const EVENT_STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  // no-transform: a compressing proxy would hold events back.
  "cache-control": "no-cache, no-transform",
  // nginx buffers replies unless told not to.
  "x-accel-buffering": "no",
};

/** Whether a reply is an event stream. */
export function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type") === EVENT_STREAM_HEADERS["content-type"];
}

/** How to stream. */
export interface EventStreamOptions {
  /** Silence, in milliseconds, after which a comment is sent. */
  readonly keepAliveMilliseconds: number;
  /** The client has gone; the source must end. */
  readonly onCancel: () => void;
  /** Words an error of the source for the client. */
  readonly toHttpError: (error: unknown) => HttpError;
}

/**
 * Streams values as events, one whole event per chunk, followed by `[DONE]`. A value is asked for only when the client
 * has taken the one before. If the source throws, the last event before `[DONE]` says why.
 */
export function eventStream(
  source: AsyncIterable<unknown>,
  options: EventStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const events = encodeEvents(source, options.toHttpError);
  let next: Promise<IteratorResult<Uint8Array<ArrayBuffer>>> | null = null;
  let cancelled = false;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const silence = Promise.withResolvers<null>();
      const timer = setTimeout(() => silence.resolve(null), options.keepAliveMilliseconds);
      next ??= events.next();
      const result = await Promise.race([next, silence.promise]);
      clearTimeout(timer);
      if (cancelled) return;
      if (result === null) return controller.enqueue(PING);
      next = null;
      if (result.done) controller.close();
      else controller.enqueue(result.value);
    },
    cancel() {
      cancelled = true;
      options.onCancel();
    },
  }, { highWaterMark: 0 });
}

async function* encodeEvents(
  source: AsyncIterable<unknown>,
  toHttpError: (error: unknown) => HttpError,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  try {
    for await (const event of source) yield encodeEvent(event);
  } catch (error) {
    yield encodeEvent(toHttpError(error).body);
  }
  yield DONE;
}

function encodeEvent(event: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(`data: ${JSON.stringify(event)}\n\n`);
}
