/** @file Sends the requests of a load to a server with OpenAI's API, and keeps the time of what comes back. */
import OpenAI from "openai";
import type { LoadRequest } from "./prompts.ts";

/** What came of one request. Times are in milliseconds from its being sent. */
export interface Measured {
  /** Why it failed, or null. */
  readonly error: string | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly firstToken: number;
  /** From each piece of text to the next. */
  readonly gaps: readonly number[];
  readonly end: number;
}

/** How requests are sent. */
export interface LoadTarget {
  /** The API's address, with `/v1`. */
  readonly baseURL: string;
  readonly model: string;
  readonly apiKey?: string;
  /** Whether answers go on to their limit, whatever the model says. */
  readonly ignoresEnd: boolean;
}

/** Asks once. Never throws. */
export function requester({ baseURL, model, apiKey, ignoresEnd }: LoadTarget) {
  // A retry would hide what is to be measured.
  const client = new OpenAI({ baseURL, apiKey: apiKey ?? "none", maxRetries: 0 });
  return async ({ prompt, maxTokens }: LoadRequest): Promise<Measured> => {
    const sent = performance.now();
    const gaps: number[] = [];
    let firstToken = 0;
    let last = sent;
    let usage: { prompt_tokens: number; completion_tokens: number } | null | undefined;
    let error: string | null = null;
    try {
      const stream = await client.completions.create({
        model,
        prompt,
        max_tokens: maxTokens,
        temperature: 0,
        stream: true,
        stream_options: { include_usage: true },
        ...ignoresEnd && { ignore_eos: true },
      });
      for await (const chunk of stream) {
        usage = chunk.usage ?? usage;
        if (!chunk.choices[0]?.text) continue;
        const now = performance.now();
        if (firstToken === 0) firstToken = now - sent;
        else gaps.push(now - last);
        last = now;
      }
      if (!usage) error = "The server does not count tokens: expected usage at the end of a stream";
    } catch (thrown) {
      error = (thrown as Error).message;
    }
    return {
      error,
      inputTokens: usage?.prompt_tokens ?? 0,
      outputTokens: usage?.completion_tokens ?? 0,
      firstToken,
      gaps,
      end: performance.now() - sent,
    };
  };
}

/**
 * Sends each request at its time, or later if as many as may run at once do.
 *
 * @param at seconds from now, ascending
 */
export async function runLoad(
  requests: readonly LoadRequest[],
  at: readonly number[],
  { ask, concurrency, onDone }: {
    ask: (request: LoadRequest) => Promise<Measured>;
    concurrency: number;
    onDone: (done: number) => void;
  },
): Promise<{ measured: Measured[]; seconds: number }> {
  const start = performance.now();
  const measured: Measured[] = [];
  let done = 0;
  let next = 0;
  const work = async () => {
    for (let index = next++; index < requests.length; index = next++) {
      const early = start + 1000 * at[index] - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      measured[index] = await ask(requests[index]);
      onDone(++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, requests.length) }, work));
  return { measured, seconds: (performance.now() - start) / 1000 };
}
