/**
 * @file Answers of a server with OpenAI's API, asked over HTTP with whole texts: `POST /v1/completions`.
 *
 * Ebb's own server takes a policy and a budget with each request and says what was kept. Of any other nothing is known but
 * its answers: it takes part as it is, as the only contender.
 */
import OpenAI, { APIError } from "openai";
import { z } from "zod";
import type { Answerer } from "../comparison/compare.ts";
import type { Contender } from "../comparison/contender.ts";

/** A server, and how to be let in. */
export interface Server {
  /** Such as `http://localhost:8000`. */
  readonly url: string;
  /** The model's id in its API. */
  readonly model: string;
  readonly apiKey?: string;
}

/** What Ebb reports beside the answer. */
const kvCacheUsage = z.object({ rows_per_layer: z.array(z.number()), bytes: z.number(), full_bytes: z.number() });

/** The API's address, whether or not `/v1` was given with it. */
function baseUrl({ url }: Server): string {
  return `${url.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
}

/**
 * Whether the server is Ebb's, so that policies can be chosen.
 *
 * @throws {Error} if nothing answers
 */
export async function takesPolicies(server: Server): Promise<boolean> {
  const headers = server.apiKey === undefined ? undefined : { authorization: `Bearer ${server.apiKey}` };
  const response = await fetch(`${baseUrl(server)}/kv/policies`, { headers }).catch((error: Error) => {
    throw new Error(`${server.url} does not answer: ${error.message}`);
  });
  const body: unknown = await response.json().catch(() => undefined);
  return response.ok && z.object({ policies: z.array(z.unknown()) }).safeParse(body).success;
}

/** Answers questions with a server; a contender without a budget but the full cache is asked without `kv_cache`. */
export function serverAnswerer(server: Server, sendsPolicies: boolean): Answerer {
  const client = new OpenAI({ baseURL: baseUrl(server), apiKey: server.apiKey ?? "none" });
  const ask = async (prompt: string, maxTokens: number, { policy, budget }: Contender) => {
    const kvCache = sendsPolicies ? { kv_cache: budget === null ? { policy } : { policy, budget } } : {};
    const request = { model: server.model, prompt, max_tokens: maxTokens, temperature: 0, ...kvCache };
    return await client.completions.create(request).catch((error) => {
      const said = error instanceof APIError ? error.message : String(error);
      throw new Error(`${server.url} refused a question: ${said}`);
    });
  };
  return (question, contenders, onAnswer = () => {}) =>
    Promise.all(contenders.map(async (contender) => {
      const { task, length, index, depth = null, prompt, maxTokens } = question;
      const { choices, usage } = await ask(prompt, maxTokens, contender);
      onAnswer();
      if (!choices?.[0] || !usage) throw new Error(`${server.url} sent no answer, or does not count its tokens`);
      const kept = kvCacheUsage.safeParse((usage as { kv_cache?: unknown }).kv_cache).data;
      return {
        task,
        length,
        promptTokens: usage.prompt_tokens,
        index,
        depth,
        ...contender,
        tokens: [],
        answer: choices[0].text,
        score: question.score(choices[0].text),
        agreement: null,
        divergence: null,
        rowsPerLayer: kept?.rows_per_layer ?? [],
        bytes: kept?.bytes ?? null,
        fullBytes: kept?.full_bytes ?? null,
      };
    }));
}
