/** @file Server-sent events in the wire formats of OpenAI's and Anthropic's APIs. */
import type { HttpError } from "./errors.ts";

const encoder = new TextEncoder();
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

/** How an API writes a stream. */
export interface EventFormat<Event> {
  /** The lines of one event, without the blank one that ends it. */
  encode(event: Event): string;
  /** The lines of the event that tells of an error. */
  failure(error: HttpError): string;
  /** What the last event is followed by, if anything. */
  readonly end?: string;
}

/** Events without names; `[DONE]` comes last. */
export const UNNAMED_EVENTS: EventFormat<unknown> = {
  encode: (event) => `data: ${JSON.stringify(event)}`,
  failure: ({ body }) => `data: ${JSON.stringify(body)}`,
  end: "data: [DONE]",
};

/** The lines of an event that is named by its type. */
export function namedEvent(event: { readonly type: string }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}`;
}

/** How to stream. */
export interface EventStreamOptions<Event> {
  /** Default: {@link UNNAMED_EVENTS}. */
  readonly format?: EventFormat<Event>;
  /** Silence, in milliseconds, after which a comment is sent. */
  readonly keepAliveMilliseconds: number;
  /** The client has gone; the source must end. */
  readonly onCancel: () => void;
  /** Words an error of the source for the client. */
  readonly toHttpError: (error: unknown) => HttpError;
}

/**
 * Streams values as events, one whole event per chunk. A value is asked for only when the client has taken the one
 * before. If the source throws, the last event says why.
 */
export function eventStream<Event>(
  source: AsyncIterable<Event>,
  options: EventStreamOptions<Event>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const events = encodeEvents(source, options);
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

async function* encodeEvents<Event>(
  source: AsyncIterable<Event>,
  { format = UNNAMED_EVENTS, toHttpError }: EventStreamOptions<Event>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const bytes = (lines: string) => encoder.encode(`${lines}\n\n`);
  try {
    for await (const event of source) yield bytes(format.encode(event));
  } catch (error) {
    yield bytes(format.failure(toHttpError(error)));
  }
  if (format.end !== undefined) yield bytes(format.end);
}
