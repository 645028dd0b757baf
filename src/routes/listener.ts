/** @file Binds the application to a socket and takes it down again without losing replies. */
import { getRequestListener } from "@hono/node-server";
import { once } from "node:events";
import { createServer as createTlsServer } from "node:https";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { HttpError } from "./errors.ts";
import { probeHalfClosed } from "./half_closed.ts";
import { answerMalformed, refuseWithoutHost, respond } from "./malformed.ts";
import { answerPlain, isPlain } from "./plain_request.ts";
import { isEventStream } from "./sse.ts";

/** Where to listen, and how to stop. */
export interface ListenOptions {
  /** Default: 127.0.0.1, so that nobody else reaches the server unless asked for. */
  readonly hostname?: string;
  /** 0 takes a free one. Without one, `path` is given. */
  readonly port?: number;
  /** A Unix socket to listen on instead. */
  readonly path?: string;
  /** For HTTPS: chain of certificates and private key, as PEM. Default: HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Aborted to stop: no further connections, running requests may finish. The application's `drain` is the same. */
  readonly drain: AbortSignal;
  /** Aborted by the server when the time to finish is over; the application's `shutdown` is its signal. */
  readonly shutdown: AbortController;
  /** How long running requests may take to finish, in milliseconds. Default: 30 seconds. */
  readonly drainMilliseconds?: number;
}

/** A listening server. */
export interface Listener {
  readonly port: number;
  /** Such as `http://127.0.0.1:8000`, or `unix:/run/ebb.sock`. */
  readonly url: string;
  /** Resolved when every connection has been closed, or has had its time to end. */
  readonly finished: Promise<void>;
}

/** The address cannot be listened on; the message says why and what to do. */
export class ListenError extends Error {
  override name = "ListenError";
}

const UNREADABLE = new HttpError(400, "The request's method or its host cannot be taken");

/** After the running generations have been ended: how long a slow client may take to read its last event. */
const FAREWELL_MILLISECONDS = 1000;

/** How long a client may go on sending a body that has been answered already. */
const FAREWELL_BODY_MILLISECONDS = 30_000;

/** How long a connection may be idle: longer than the minute for which nginx, among others, keeps one for the next request. */
const KEEP_ALIVE_MILLISECONDS = 75_000;

/**
 * Listens, through `node:http`: `Deno.serve()` does not notice that a client has gone who waits for the head of a reply and has
 * sent a body of a kilobyte or more, whether it closes or resets the connection (Deno 2.8.3 to 2.9.6, with `no-legacy-abort`,
 * too), so that its generation would run on; and it takes one who has only closed its half for gone. What that costs is some ten
 * microseconds a request and some five for each event of a stream, of which only health checks have so few that it shows.
 *
 * @throws {ListenError} if the address is in use or cannot be had
 */
export async function listen(
  app: { fetch(request: Request): Response | Promise<Response> },
  options: ListenOptions,
): Promise<Listener> {
  const { port = 0, path, tls, drain, shutdown, drainMilliseconds = 30_000 } = options;
  // As in URLs.
  const hostname = (options.hostname ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  const streams = new WeakSet<ServerResponse>();
  const answer = async (request: Request, { outgoing }: { outgoing: unknown }) => {
    // Hono's middleware takes the standard's own requests only, which the adapter's are not.
    const reply = await app.fetch(new Request(request.url, request));
    if (isEventStream(reply)) streams.add(outgoing as ServerResponse);
    return reply;
  };
  const listener = getRequestListener(answer, {
    // Stands in for the header `host`, which HTTP 1.0 does not ask for.
    hostname: "localhost",
    // For what the standard's requests cannot hold, such as the method TRACE; the application answers all other errors.
    errorHandler: () => Response.json(UNREADABLE.body, { status: UNREADABLE.status }),
    overrideGlobalObjects: false,
    // It cuts the connections of clients that are still sending; see below.
    autoCleanupIncoming: false,
  });
  const serverOptions = {
    // A prompt may be long, and its connection slow: bodies have a pace of their own, see requests/pace.ts.
    requestTimeout: 0,
    headersTimeout: 60_000,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    // Refused below, with a body.
    requireHostHeader: false,
  };
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    if (refuseWithoutHost(request, response)) return;
    if (isPlain(request)) answerPlain(app, request, response).catch(() => respond(response, UNREADABLE));
    else listener(request, response);
  };
  const server = tls ? createTlsServer({ ...serverOptions, ...tls }, handle) : createServer(serverOptions, handle);
  // Left out of the types.
  Object.assign(server, { httpAllowHalfOpen: true });
  answerMalformed(server);
  // Without a whole request yet: not idle in node's sense, but nothing that a drain should wait for.
  const silent = new Set<Socket>();
  server.on("connection", (socket) => {
    silent.add(socket);
    socket.on("close", () => silent.delete(socket));
  });
  server.on("request", (request, response) => {
    const { socket } = request;
    silent.delete(socket);
    // Answered before its client could go, and with nothing left to read.
    if (isPlain(request)) return void response.once("finish", () => drain.aborted && server.closeIdleConnections());
    const probe = () => probeHalfClosed(request, response, streams);
    socket.once("end", probe);
    response.on("close", () => {
      socket.off("end", probe);
      // Most clients read a reply only once they have sent everything, even what is too long to be taken. The listeners
      // are those of the body's web stream, which stops the flow when nobody reads it.
      request.removeAllListeners("data").resume();
      if (!request.complete) endSlowly(request, socket);
      // A connection is not idle before its reply has ended.
      if (drain.aborted) server.closeIdleConnections();
    });
  });
  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  try {
    await once(path === undefined ? server.listen(port, hostname) : server.listen(path), "listening");
  } catch (error) {
    throw path === undefined ? describeListenError(error, hostname, port) : describeSocketError(error, path);
  }

  const stop = async () => {
    const timers = [
      setTimeout(() => shutdown.abort(), drainMilliseconds),
      setTimeout(() => server.closeAllConnections(), drainMilliseconds + FAREWELL_MILLISECONDS),
    ];
    server.close();
    for (const socket of silent) socket.destroy();
    await closed;
    timers.forEach(clearTimeout);
  };
  if (drain.aborted) stop();
  else drain.addEventListener("abort", stop, { once: true });

  if (path !== undefined) return { port: 0, url: `unix:${path}`, finished: closed };
  const { address, port: boundPort } = server.address() as AddressInfo;
  return {
    port: boundPort,
    url: `${tls ? "https" : "http"}://${address.includes(":") ? `[${address}]` : address}:${boundPort}`,
    finished: closed,
  };
}

/** Lets a client go on sending for a while what has been answered already, then cuts the connection. */
function endSlowly(request: IncomingMessage, socket: Socket): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), FAREWELL_BODY_MILLISECONDS);
  const stop = () => {
    clearTimeout(timer);
    socket.off("close", stop);
  };
  request.once("end", stop);
  socket.once("close", stop);
}

function describeSocketError(error: unknown, path: string): unknown {
  if (!(error instanceof Error)) return error;
  if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") {
    return new ListenError(
      `The socket ${path} is there already; stop the program that uses it, or remove what one left`,
    );
  }
  return new ListenError(`Cannot listen on the socket ${path} (${error.message}); expected a path that can be made`);
}

function describeListenError(error: unknown, hostname: string, port: number): unknown {
  if (!(error instanceof Error)) return error;
  switch ((error as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return new ListenError(
        `Port ${port} of ${hostname} is in use; stop the program that uses it, or choose another port (0 takes a free one)`,
      );
    case "EACCES":
      return new ListenError(`Port ${port} of ${hostname} may not be used by this user; choose one from 1024 up`);
    default:
      return new ListenError(
        `Cannot listen on ${hostname}, port ${port} (${error.message}); expected an address of this machine`,
      );
  }
}
