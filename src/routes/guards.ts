/**
 * @file Who may call: what every request has to pass before its body is read.
 *
 * A server on this machine is reached by every web page that its user opens. A page of another origin may send, though not
 * read, as much as it likes (https://fetch.spec.whatwg.org/#http-cors-protocol), unless it is refused for its `Origin`; and
 * one whose name leads to this machine (DNS rebinding) counts as of the same origin, unless it is refused for its `Host`. The
 * server's own page is of its own origin, under an address or a name that is known to be its own.
 */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { isIP } from "node:net";
import { clipped, HttpError } from "./errors.ts";

/** Who may call. */
export interface GuardOptions {
  /** Origins whose web pages may call, such as `https://example.com`; `*` stands for any. Default: none. */
  readonly allowedOrigins?: readonly string[];
  /**
   * Names by which the server may be called beside those of loopback, without a port; `0.0.0.0` and `::` stand for every
   * address, `*` for everything. Default: everything.
   */
  readonly allowedHosts?: readonly string[];
}

/** The middleware that refuses callers with a 403. */
export function guards({ allowedOrigins = [], allowedHosts = ["*"] }: GuardOptions): MiddlewareHandler[] {
  const handlers = [hostGuard(allowedHosts), originGuard(allowedOrigins, allowedHosts)];
  // Before the check of origins, so that an allowed page can read even why something was refused.
  return allowedOrigins.length > 0 ? [crossOrigin(allowedOrigins), ...handlers] : handlers;
}

/** Answers preflights, and adds to every reply the headers by which browsers show it to the pages of some origins. */
function crossOrigin(origins: readonly string[]): MiddlewareHandler {
  const handler = cors({
    origin: origins.includes("*") ? "*" : [...origins],
    allowMethods: ["GET", "HEAD", "POST"],
    // What clients log, and what they go by when they try again.
    exposeHeaders: [
      ...["x-request-id", "retry-after", "x-should-retry"],
      ...["limit", "remaining", "reset"].map((what) => `x-ratelimit-${what}-requests`),
    ],
    // In seconds. Without it a preflight holds for five, and about every request needs one of its own.
    maxAge: 3600,
  });
  return async (c, next) => {
    // The rest is for the guards: they refuse it, whatever it is.
    if (!isAllowed(origins, c.req.header("origin"))) return await next();
    return await handler(c, next);
  };
}

function originGuard(allowed: readonly string[], allowedHosts: readonly string[]): MiddlewareHandler {
  // Not under any name, even where any is let in: it could be that of another's page.
  const isOwnHost = hostCheck(allowedHosts.filter((name) => name !== "*"));
  const isOwn = (origin: string, { host, hostname }: URL) => URL.parse(origin)?.host === host && isOwnHost(hostname);
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (!isAllowed(allowed, origin) && !isOwn(origin!, new URL(c.req.url))) {
      throw new HttpError(
        403,
        `Web pages of ${clipped(origin!)} may not call this server; allow them with --allowed-origins`,
        { code: "origin_not_allowed" },
      );
    }
    await next();
  };
}

/** Programs send no origin; browsers send one with whatever could change or cost anything. */
function isAllowed(allowed: readonly string[], origin: string | undefined): boolean {
  return origin === undefined || allowed.includes("*") || allowed.includes(origin);
}

function hostGuard(allowed: readonly string[]): MiddlewareHandler {
  // Nothing is looked at where everything is let in.
  if (allowed.includes("*")) return (_, next) => next();
  const isKnown = hostCheck(allowed);
  return async (c, next) => {
    const { hostname } = new URL(c.req.url);
    if (!isKnown(hostname)) {
      throw new HttpError(
        403,
        `This server is not known as ${
          clipped(withoutBrackets(hostname))
        }; call it by its address, or allow the name ` +
          "with --allowed-hosts",
        { code: "host_not_allowed" },
      );
    }
    await next();
  };
}

/** Tells whether a name or an address in a URL is one of the server's. */
function hostCheck(allowed: readonly string[]): (hostname: string) => boolean {
  const names = new Set(allowed.map((name) => name.toLowerCase()));
  const takesAddresses = names.has("0.0.0.0") || names.has("::");
  return (hostname) => {
    const host = withoutBrackets(hostname);
    return names.has(host) || isLoopback(host) || (takesAddresses && isIP(host) > 0);
  };
}

/** For one way of writing addresses; a dot at the end makes a name no other. */
function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}

function isLoopback(host: string): boolean {
  return /^(.+\.)?localhost$/.test(host) || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
