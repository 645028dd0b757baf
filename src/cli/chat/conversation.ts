/**
 * @file A conversation and how it is asked for: a client of Ebb's own API, without a socket between them.
 *
 *     lines --> Conversation --openai--> createApp(...).request --> engine
 *
 * So what holds for requests over HTTP, from templates to stop strings and limits, holds here.
 */
import OpenAI from "openai";
import type { Hono } from "hono";
import type { KvCacheChoice } from "../../contract/generation.ts";
import { RunPace } from "../../routes/generation/run_pace.ts";
import type { Pace } from "../describe_pace.ts";
import type { ChatOptions } from "../flags/serving.ts";

/** As `usage` of a chat completion tells it. */
export interface AnswerUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly kv_cache?: {
    readonly policy: string;
    readonly prompt_rows: number;
    readonly rows_per_layer: readonly number[];
    /** What was asked for and did not count. */
    readonly notes?: readonly string[];
    /** Why the policy failed, if it did. */
    readonly fallback?: string;
  };
}

/** How the last answer went. */
export interface AnswerReport {
  readonly usage: AnswerUsage;
  readonly pace: Pace;
}

/** A piece of an answer: of what is said, or of what is thought before. */
export interface AnswerText {
  readonly kind: "content" | "thought";
  readonly text: string;
}

/** How answers are drawn. */
export type DrawingOptions = Pick<
  ChatOptions,
  | "maxTokens"
  | "temperature"
  | "topK"
  | "topP"
  | "minP"
  | "frequencyPenalty"
  | "presencePenalty"
  | "repetitionPenalty"
  | "seed"
  | "stop"
>;

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What has been said, and what is asked with it. */
export class Conversation {
  /** The next answer's; null leaves it to the flags. */
  policy: string | null = null;
  budget: KvCacheChoice["budget"] | null = null;
  /** Of the last answer that was not interrupted. */
  last: AnswerReport | undefined;
  #messages: Message[] = [];
  readonly #system: readonly Message[];
  readonly #options: DrawingOptions;
  readonly #client: OpenAI;

  // deno-lint-ignore no-explicit-any -- the application's variables are its own business
  constructor(app: Pick<Hono<any>, "request">, system: string | undefined, options: DrawingOptions) {
    this.#system = system === undefined ? [] : [{ role: "system", content: system }];
    this.#options = options;
    this.#client = new OpenAI({
      apiKey: "none",
      baseURL: "http://localhost/v1",
      maxRetries: 0,
      fetch: async (url, init) => await app.request(url instanceof Request ? url : String(url), init),
    });
  }

  /** Messages so far, without the system's. */
  get length(): number {
    return this.#messages.length;
  }

  /** Forgets what has been said. */
  clear(): void {
    this.#messages = [];
    this.last = undefined;
  }

  /**
   * Says something and streams the answer. What was said of an answer that is interrupted stays in the conversation; a
   * message that is refused, or interrupted before anything was said, does not.
   *
   * @param interrupt ends the answer
   * @throws {APIError} why the message was refused, or the answer failed
   */
  async *say(content: string, interrupt: AbortSignal): AsyncGenerator<AnswerText, void> {
    const question: Message = { role: "user", content };
    let answer = "";
    try {
      for await (const piece of this.#ask([...this.#system, ...this.#messages, question], interrupt)) {
        if (piece.kind === "content") answer += piece.text;
        yield piece;
      }
    } catch (error) {
      if (!interrupt.aborted) throw error;
    }
    if (answer !== "" || !interrupt.aborted) this.#messages.push(question, { role: "assistant", content: answer });
  }

  async *#ask(messages: readonly Message[], signal: AbortSignal): AsyncGenerator<AnswerText, void> {
    const { policy, budget } = this;
    const options = this.#options;
    const body = {
      model: undefined,
      messages,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      max_tokens: options.maxTokens,
      temperature: options.temperature,
      top_k: options.topK,
      top_p: options.topP,
      min_p: options.minP,
      frequency_penalty: options.frequencyPenalty,
      presence_penalty: options.presencePenalty,
      repetition_penalty: options.repetitionPenalty,
      seed: options.seed,
      stop: options.stop,
      kv_cache: { policy, budget },
    } as unknown as OpenAI.ChatCompletionCreateParamsStreaming;
    const pace = new RunPace(performance.now());
    let usage: AnswerUsage | undefined;
    for await (const chunk of await this.#client.chat.completions.create(body, { signal })) {
      const before = usage?.completion_tokens ?? 0;
      usage = chunk.usage as AnswerUsage | null ?? usage;
      const tokens = (usage?.completion_tokens ?? 0) - before;
      if (tokens > 0) pace.tokens(tokens);
      const delta = chunk.choices[0]?.delta as { content?: string; reasoning_content?: string } | undefined;
      if (!delta?.content && !delta?.reasoning_content) continue;
      yield delta.content
        ? { kind: "content", text: delta.content }
        : { kind: "thought", text: delta.reasoning_content! };
    }
    if (usage) this.last = { usage, pace };
  }
}
