/**
 * @file Tells a client that has said all that it has to say (it closed its half of the connection, as `nc -N` does) from one
 * that has gone. Both look alike, until something is sent: the system of a client that has gone answers with a reset.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { PING } from "./sse.ts";

/** Milliseconds between the first two probes; the first one may only bring about what the second one meets. */
const FIRST_PAUSE = 100;

/**
 * Once the client has closed its half: sends what is no part of the reply, until the reply has ended or sending fails.
 *
 * @param streams the replies that are event streams
 */
export function probeHalfClosed(
  request: IncomingMessage,
  response: ServerResponse,
  streams: Pick<WeakSet<ServerResponse>, "has">,
): void {
  // There are no interim replies in HTTP 1.0: its clients have gone, as far as can be known.
  if (request.httpVersion === "1.0" && !response.headersSent) return void request.socket.destroy();
  let pause = FIRST_PAUSE;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const probe = () => {
    if (response.destroyed || response.writableEnded) return;
    // Of these a client has to take any number (RFC 9110, section 15.2).
    if (!response.headersSent) response.writeContinue();
    else if (streams.has(response)) response.write(PING);
    timer = setTimeout(probe, pause);
    pause *= 2;
  };
  response.once("close", () => clearTimeout(timer));
  probe();
}
