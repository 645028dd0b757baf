/** @file One answer on its way: asked for, its prompt read, its text coming in, ended. */
import { RunPace } from "../routes/generation/run_pace.ts";
import type { Positions } from "./kept_rows.ts";
import type { Server } from "./server.ts";
import { readableTokens } from "./token_texts.ts";

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What is asked: a conversation, or a text that is to go on. */
export interface Asked {
  /** The model's id; the server's first one where there is none. */
  readonly model?: string;
  readonly prompt: string | readonly Message[];
  readonly kvCache: Readonly<Record<string, unknown>>;
  /** Without one, as many as there is room for. */
  readonly maxTokens?: number;
  /** The model's own without one. */
  readonly temperature?: number;
}

/** What the cache of a prompt came to, as far as the page shows it. */
export interface Cache {
  readonly policy: string;
  readonly prompt_rows: number;
  readonly rows_per_layer: readonly number[];
  readonly positions: Positions;
  readonly bytes: number;
  readonly full_bytes: number;
  readonly fallback?: string;
  /** What was asked for and did not count. */
  readonly notes?: readonly string[];
}

/** `usage` of a reply, as far as the page shows it. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly kv_cache: Cache | null;
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
  /** Positions that these layers keep; null where they are not told yet. */
  readonly positions: Positions | null;
  /** Null until the prompt has been read. */
  readonly cache: Cache | null;
  /** Null until the answer has ended. */
  readonly usage: Usage | null;
  /** Of those behind the first; null where they came too soon for a speed. */
  readonly tokensPerSecond: number | null;
  /** Why it failed, as a sentence. */
  readonly error: string | null;
}

export const NO_ANSWER: Answer = {
  phase: "reading",
  text: "",
  reasoning: "",
  rows: null,
  tokens: null,
  positions: null,
  cache: null,
  usage: null,
  tokensPerSecond: null,
  error: null,
};

/** A chunk of either kind of stream. */
interface Chunk {
  readonly choices: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
  }[];
  /** Whole in the last one. */
  readonly usage?: Usage | { readonly completion_tokens: number } | null;
  /** Before the first token, since the page asks for positions. */
  readonly kv_cache?:
    | { readonly state: "prompt"; readonly rows_per_layer: readonly number[]; readonly positions?: Positions }
    | { readonly state: "generating" } & Cache;
}

/**
 * Asks, and tells what is known whenever that changes.
 *
 * @throws {ServerError} @throws {DOMException} when it is stopped by the signal
 */
export async function ask(
  server: Server,
  { model, prompt, kvCache, maxTokens, temperature }: Asked,
  signal: AbortSignal,
  tell: (change: Partial<Answer>) => void,
): Promise<void> {
  const isText = typeof prompt === "string";
  const what = { model, ...isText ? { prompt } : { messages: prompt } };
  const told = tokensOf(server, what, isText, signal).then((tokens) => tell({ tokens }));
  // Until it is waited for, below.
  told.catch(() => {});
  const stream_options = { include_usage: true, continuous_usage_stats: true };
  const fields = { stream: true, stream_options, max_tokens: maxTokens, temperature };
  const path = isText ? "v1/completions" : "v1/chat/completions";
  let text = "";
  let reasoning = "";
  const pace = new RunPace(performance.now());
  let known = 0;
  try {
    const chunks = server.events<Chunk>(path, { ...what, ...fields, kv_cache: kvCache }, signal);
    for await (const { choices: [choice], usage, kv_cache } of chunks) {
      const count = usage?.completion_tokens ?? known;
      if (count > known) pace.tokens(count - known);
      known = count;
      if (kv_cache?.state === "prompt") tell({ rows: kv_cache.rows_per_layer, positions: kv_cache.positions ?? null });
      if (kv_cache?.state === "generating") tell(read(kv_cache));
      const piece = choice?.text ?? choice?.delta?.content ?? "";
      const thought = choice?.delta?.reasoning_content ?? "";
      if (piece !== "" || thought !== "") {
        text += piece;
        reasoning += thought;
        tell({ phase: "answering", text, reasoning });
      }
      if (usage && "kv_cache" in usage) {
        tell({ usage, tokensPerSecond: pace.tokensPerSecond, ...usage.kv_cache && read(usage.kv_cache) });
      }
    }
  } finally {
    await told.catch(() => {});
  }
  await told;
  tell({ phase: "ended" });
}

/** The prompt has been read. */
function read(cache: Cache): Partial<Answer> {
  return { phase: "answering", cache, rows: cache.rows_per_layer, positions: cache.positions };
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
