/** @file One answer on its way: asked for, its prompt read, its text coming in, ended. */
import type { Positions } from "./kept_rows.ts";
import type { Server } from "./server.ts";
import { readableTokens } from "./token_texts.ts";

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What is asked: a conversation, or a text that is to go on. */
export interface Asked {
  readonly prompt: string | readonly Message[];
  readonly kvCache: Readonly<Record<string, unknown>>;
  /** Without one, as many as there is room for. */
  readonly maxTokens?: number;
  /** The model's own without one. */
  readonly temperature?: number;
}

/** `usage` of a reply, as far as the page shows it. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly kv_cache: {
    readonly policy: string;
    readonly prompt_rows: number;
    readonly rows_per_layer: readonly number[];
    readonly positions: Positions;
    readonly bytes: number;
    readonly full_bytes: number;
    readonly fallback?: string;
    /** What was asked for and did not count. */
    readonly notes?: readonly string[];
  } | null;
}

/** What is known of an answer so far. */
export interface Answer {
  readonly phase: "reading" | "answering" | "ended" | "failed";
  readonly text: string;
  readonly reasoning: string;
  /** Rows that each layer keeps, of those that have been read so far; null before the first. */
  readonly rows: readonly number[] | null;
  /** Texts of the prompt's tokens; null until they are known. */
  readonly tokens: readonly string[] | null;
  readonly usage: Usage | null;
  /** From the first token to the last, in seconds. */
  readonly seconds: number;
  /** Why it failed, as a sentence. */
  readonly error: string | null;
}

export const NO_ANSWER: Answer = {
  phase: "reading",
  text: "",
  reasoning: "",
  rows: null,
  tokens: null,
  usage: null,
  seconds: 0,
  error: null,
};

/** A chunk of either kind of stream. */
interface Chunk {
  readonly choices: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
  }[];
  readonly usage?: Usage | null;
}

/** Milliseconds between two looks at the rows while a prompt is being read. */
const LOOKS = 80;

/**
 * Asks, and tells what is known whenever that changes.
 *
 * @throws {ServerError} @throws {DOMException} when it is stopped by the signal
 */
export async function ask(
  server: Server,
  { prompt, kvCache, maxTokens, temperature }: Asked,
  signal: AbortSignal,
  tell: (change: Partial<Answer>) => void,
): Promise<void> {
  const isText = typeof prompt === "string";
  const what = isText ? { prompt } : { messages: prompt };
  const requestId = newId();
  const reading = new AbortController();
  const told = Promise.all([
    followRows(server, requestId, AbortSignal.any([signal, reading.signal]), (rows) => tell({ rows })),
    tokensOf(server, what, isText, signal).then((tokens) => tell({ tokens })),
  ]);
  // Until it is waited for, below.
  told.catch(() => {});
  const fields = { stream: true, stream_options: { include_usage: true }, max_tokens: maxTokens, temperature };
  const path = isText ? "v1/completions" : "v1/chat/completions";
  let text = "";
  let reasoning = "";
  let first = 0;
  try {
    const chunks = server.events<Chunk>(path, { ...what, ...fields, kv_cache: kvCache }, { signal, requestId });
    for await (const { choices: [choice], usage } of chunks) {
      const piece = choice?.text ?? choice?.delta?.content ?? "";
      const thought = choice?.delta?.reasoning_content ?? "";
      if (piece !== "" || thought !== "") {
        first ||= performance.now();
        text += piece;
        reasoning += thought;
        tell({ phase: "answering", text, reasoning, seconds: (performance.now() - first) / 1000 });
      }
      if (usage) tell({ usage, rows: usage.kv_cache?.rows_per_layer ?? null });
    }
  } finally {
    reading.abort();
    await told.catch(() => {});
  }
  await told;
  tell({ phase: "ended" });
}

/** Tells the rows of a sequence that is being read, until it generates or the signal says so. */
async function followRows(
  server: Server,
  requestId: string,
  signal: AbortSignal,
  tell: (rows: readonly number[]) => void,
): Promise<void> {
  interface Live {
    readonly request_id: string;
    readonly state: "prompt" | "generating";
    readonly rows_per_layer: readonly number[] | null;
  }
  while (!signal.aborted) {
    try {
      const { data } = await server.json<{ data: readonly Live[] }>("v1/kv/sequences", undefined, signal);
      const mine = data.find(({ request_id }) => request_id === requestId);
      if (mine?.rows_per_layer && !signal.aborted) tell(mine.rows_per_layer);
      if (mine?.state === "generating") return;
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    await pause(LOOKS, signal);
  }
}

/** Waits so many milliseconds, or until the signal says so. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}

async function tokensOf(server: Server, what: object, isText: boolean, signal: AbortSignal): Promise<string[]> {
  const path = isText ? "tokenize" : "apply-template";
  const { token_strs } = await server.json<{ token_strs: string[] }>(
    path,
    { ...what, return_token_strs: true },
    signal,
  );
  return readableTokens(token_strs);
}

/** No two alike; `crypto.randomUUID` is not there on pages that came without TLS. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");
}
