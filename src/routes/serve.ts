/** @file Binds the application to a socket and takes it down again without losing replies. */
import type { Hono } from "hono";

/** Where to listen, and how to stop. */
export interface ServeOptions {
  /** Default: 127.0.0.1, so that nobody else reaches the server unless asked for. */
  readonly hostname?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Aborted to stop: no further connections, running requests may finish. The application's `drain` is the same. */
  readonly drain: AbortSignal;
  /** Aborted by the server when the time to finish is over; the application's `shutdown` is its signal. */
  readonly shutdown: AbortController;
  /** How long running requests may take to finish, in milliseconds. Default: 30 seconds. */
  readonly drainMilliseconds?: number;
}

/** A listening server. */
export interface HttpServer {
  readonly hostname: string;
  readonly port: number;
  /** Such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** Resolved when every connection has been closed, or has had its time to end. */
  readonly finished: Promise<void>;
}

/** The address cannot be listened on; the message says why and what to do. */
export class ListenError extends Error {
  override name = "ListenError";
}

/** After the running generations have been ended: how long a slow client may take to read its last event. */
const FAREWELL_MILLISECONDS = 1000;

/**
 * Listens.
 *
 * @throws {ListenError} if the address is in use or cannot be had
 */
// The application's variables are its own business.
export function serveHttp(app: Hono<any>, options: ServeOptions): HttpServer {
  const { hostname = "127.0.0.1", port, drain, shutdown, drainMilliseconds = 30_000 } = options;
  // Not the signal that Deno.serve() takes: aborted after shutdown() it throws where nobody can catch it.
  const overtime = Promise.withResolvers<void>();
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ hostname, port, onListen: () => {} }, app.fetch);
  } catch (error) {
    throw describeListenError(error, hostname, port);
  }

  const stop = async () => {
    const timers = [
      setTimeout(() => shutdown.abort(), drainMilliseconds),
      setTimeout(overtime.resolve, drainMilliseconds + FAREWELL_MILLISECONDS),
    ];
    await Promise.race([server.shutdown(), overtime.promise]);
    timers.forEach(clearTimeout);
  };
  if (drain.aborted) stop();
  else drain.addEventListener("abort", stop, { once: true });

  const { hostname: address, port: boundPort } = server.addr;
  return {
    hostname: address,
    port: boundPort,
    url: `http://${address.includes(":") ? `[${address}]` : address}:${boundPort}`,
    finished: Promise.race([server.finished, overtime.promise]),
  };
}

function describeListenError(error: unknown, hostname: string, port: number): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    return new ListenError(
      `Port ${port} of ${hostname} is in use; stop the program that uses it, or choose another port (0 takes a free one)`,
    );
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new ListenError(`Port ${port} of ${hostname} may not be used by this user; choose one from 1024 up`);
  }
  if (error instanceof Error) {
    return new ListenError(
      `Cannot listen on ${hostname}, port ${port} (${error.message}); expected an address of this machine`,
    );
  }
  return error;
}
