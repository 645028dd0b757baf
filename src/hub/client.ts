/**
 * @file Requests to the hub and to where it redirects: every failure is either one that may pass, or one that is explained.
 *
 * The hub answers a request for a large file with a redirect to a URL that is signed and expires. It is remembered, for a file
 * takes many requests; when it no longer works, the hub is asked for another.
 */
import { HubError, TemporaryError } from "./hub_error.ts";
import type { HubSettings } from "./settings.ts";

/** How long to go on trying. */
export interface Patience {
  /** Failures in a row, without a byte in between, after which to give up. */
  readonly attempts: number;
  /** How long a connection may bring nothing, in milliseconds. */
  readonly stallMilliseconds: number;
  sleep(milliseconds: number): Promise<void>;
  /** Takes a line for people. */
  log(line: string): void;
}

/** The longest that a server may ask to wait, in seconds: the hub counts requests over five minutes. */
const LONGEST_WAIT = 300;

const MOST_REDIRECTS = 10;

/** What a request may ask for beside its URL. */
export interface RequestOptions {
  /** First and last byte, both included. */
  readonly range?: readonly [first: number, last: number];
  readonly signal?: AbortSignal;
}

export class HubClient {
  /** Where a URL redirected to last, by URL. */
  readonly #redirects = new Map<string, string>();

  constructor(readonly settings: HubSettings, readonly patience: Patience) {}

  /**
   * Asks once. Read the answer's body, or cancel it.
   *
   * @throws {TemporaryError} when asking again may help @throws {HubError} when it does not
   */
  async get(url: string, options: RequestOptions = {}): Promise<Response> {
    const remembered = this.#redirects.get(url);
    if (remembered !== undefined) {
      const response = await this.#send(remembered, options);
      if (response.ok) return response;
      await response.body?.cancel();
      this.#redirects.delete(url);
    }
    let target = url;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const response = await this.#send(target, options);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status > 399 || location === null) {
        if (!response.ok) throw await this.#failure(url, target, response);
        if (target !== url) this.#redirects.set(url, target);
        return response;
      }
      await response.body?.cancel();
      target = new URL(location, target).href;
    }
    throw new HubError(`${url} redirects more than ${MOST_REDIRECTS} times`);
  }

  /** Runs an action until it succeeds, waiting between failures that may pass. @param progress grows as long as trying helps */
  async patiently<Result>(action: () => Promise<Result>, progress: () => number = () => 0): Promise<Result> {
    const { attempts, sleep, log } = this.patience;
    for (let failures = 1;; failures++) {
      const before = progress();
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof TemporaryError)) throw error;
        if (progress() > before) failures = 1;
        if (failures >= attempts) throw new HubError(`${error.message}; tried ${failures} times, try again later`);
        if (error.waitSeconds > LONGEST_WAIT) throw new HubError(`${error.message}: try again then`);
        if (error.waitSeconds > 0) log(`${error.message}: waiting`);
        await sleep(Math.max(error.waitSeconds * 1000, 500 * 2 ** failures));
      }
    }
  }

  async #send(url: string, { range, signal }: RequestOptions): Promise<Response> {
    const headers = new Headers({ "user-agent": "ebb", "accept-encoding": "identity" });
    if (range !== undefined) headers.set("range", `bytes=${range[0]}-${range[1]}`);
    const { endpoint, token } = this.settings;
    if (token !== undefined && new URL(url).origin === new URL(endpoint).origin) {
      headers.set("authorization", `Bearer ${token}`);
    }
    try {
      return await fetch(url, { headers, redirect: "manual", signal });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new TemporaryError(`${new URL(url).host} cannot be reached: ${causeOf(error)}`);
    }
  }

  /** Why a request failed, in words. */
  async #failure(url: string, target: string, response: Response): Promise<Error> {
    const { status, headers } = response;
    await response.body?.cancel();
    const { endpoint, token } = this.settings;
    const { host, origin } = new URL(target);
    if (status === 429) {
      const wait = waitOf(headers);
      return new TemporaryError(`${host} gets too many requests and asks to wait ${wait} s`, wait);
    }
    if (status === 408 || status >= 500) return new TemporaryError(`${host} fails with HTTP ${status}`);
    if (origin !== new URL(endpoint).origin) {
      // A signed URL that is refused has expired, and was remembered by nobody: the next one may work.
      if (target !== url) return new TemporaryError(`${host} refuses the file with HTTP ${status}`);
      return new HubError(`${url} cannot be read: HTTP ${status}`, true);
    }
    const said = headers.get("x-error-message") ?? `HTTP ${status}`;
    const what = describe(url, endpoint);
    if (status === 401 || status === 403) {
      const isGated = headers.get("x-error-code") === "GatedRepo";
      const advice = token === undefined
        ? "set HF_TOKEN to a token that may read it"
        : "the token in HF_TOKEN may not read it";
      return new HubError(
        isGated
          ? `${what} is open only to those who have accepted its terms: do so on its page of the hub; ${advice}`
          : `${what} does not exist, or is private: check its name; if it is private, ${advice}`,
        true,
      );
    }
    if (status === 404) return new HubError(`${what} does not exist (${said})`, true);
    return new HubError(`${what} cannot be read: ${said}`);
  }
}

/** What a URL of the hub is about, for people. */
function describe(url: string, endpoint: string): string {
  const path = url.slice(endpoint.length);
  const [, repository] = /^\/(?:api\/models\/)?([^/]+\/[^/?]+)/.exec(path) ?? [];
  const [, file] = /^\/[^/]+\/[^/]+\/resolve\/[^/]+\/([^?]+)/.exec(path) ?? [];
  if (repository === undefined) return url;
  return file === undefined ? `hf:${repository}` : `hf:${repository}:${decodeURIComponent(file)}`;
}

/** Seconds to wait, of `Retry-After` (a number or a date) or the hub's `RateLimit: "api";r=0;t=55`. */
function waitOf(headers: Headers): number {
  const after = headers.get("retry-after") ?? "";
  const reset = /\bt=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  return Math.max(1, Math.ceil(Number.isNaN(seconds) ? Number(reset ?? 1) : seconds));
}

/** The innermost reason of a failed fetch: its own message repeats the URL, which may be signed. */
function causeOf(error: unknown): string {
  let cause = error as Error;
  while (cause.cause instanceof Error) cause = cause.cause;
  return cause.message.replace(/\(?https?:\/\/\S+\)?:? ?/g, "");
}
