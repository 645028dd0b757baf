/** @file The server as the page sees it: JSON, event streams, and errors as sentences. Nothing else is ever asked. */
import { createParser } from "eventsource-parser";

/** What the server answered instead of what it was asked for. */
export class ServerError extends Error {
  override name = "ServerError";
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

/** Where the key is kept: until the tab is closed, and for this server alone. */
const KEY = "ebb key";

export class Server {
  #key: string | null;

  /** @param base what paths are relative to; the page's own address by default, so that it may lie behind a proxy */
  constructor(readonly base = "", readonly store: Pick<Storage, "getItem" | "setItem"> | null = null) {
    this.#key = store?.getItem(KEY) ?? null;
  }

  /** Sends this key from now on. */
  useKey(key: string): void {
    this.#key = key;
    this.store?.setItem(KEY, key);
  }

  /** The reply to a GET, or to a POST where there is a body. @throws {ServerError} */
  async json<Reply>(path: string, body?: unknown, signal?: AbortSignal): Promise<Reply> {
    return await (await this.#send(path, body, signal)).json();
  }

  /** @throws {ServerError} */
  async text(path: string): Promise<string> {
    return await (await this.#send(path)).text();
  }

  /** The events of a stream up to its `[DONE]`, as JSON. @throws {ServerError} for an error event too */
  async *events<Event>(
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<Event> {
    const { body: stream } = await this.#send(path, body, signal);
    const arrived: string[] = [];
    const parser = createParser({ onEvent: ({ data }) => arrived.push(data) });
    const reader = stream!.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        parser.feed(chunk.value);
        for (const data of arrived.splice(0)) {
          if (data === "[DONE]") return;
          const event = JSON.parse(data);
          if (event.error) throw new ServerError(event.error.message, 200);
          yield event;
        }
      }
    } finally {
      reader.cancel().catch(() => {});
    }
    throw new ServerError("The answer broke off", 200);
  }

  async #send(
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<Response> {
    const response = await fetch(this.base + path, {
      method: body === undefined ? "GET" : "POST",
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: {
        ...body !== undefined && { "content-type": "application/json" },
        ...this.#key !== null && { authorization: `Bearer ${this.#key}` },
      },
      signal,
      credentials: "omit",
    });
    if (response.ok) return response;
    const message = await response.json().then(({ error }) => error.message as string, () => undefined);
    throw new ServerError(message ?? `The server answered with status ${response.status}`, response.status);
  }
}

/** What went wrong, as a sentence; `null` where it was stopped on purpose. */
export function sentenceOf(error: unknown): string | null {
  if (error instanceof DOMException && error.name === "AbortError") return null;
  // What fetch() throws for whatever keeps it from getting an answer.
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?";
  const message = error instanceof Error ? error.message : String(error);
  return /[.!?]$/.test(message) ? message : `${message}.`;
}
