/** @file Vectors of texts from the model that generates: its hidden states, pooled as its file says, scaled to length 1. */
import type { Embedder, Encoded, EncoderInput, EncoderModel, EncodeTextsOptions } from "../../contract/encoder.ts";
import { UnservableRequestError } from "../../contract/errors.ts";
import type { GenerationRequest } from "../../contract/generation.ts";
import { GREEDY } from "../../contract/sampling.ts";
import { normalise } from "../../embedding/pooling.ts";
import type { RouteContext } from "../context.ts";
import { HttpError } from "../errors.ts";

/** Texts of a request that the engine has at once, so that one with thousands does not fill its queue. */
const MOST_AT_ONCE = 16;

export class PromptEncoder implements Embedder {
  readonly model: EncoderModel;

  constructor(readonly context: Pick<RouteContext, "engine" | "text">) {
    const { model: { id, hiddenSize, contextLength, vocabularySize }, device } = context.engine;
    this.model = { id, kind: "embedder", dimensions: hiddenSize, maximumTokens: contextLength, vocabularySize, device };
  }

  async embed(texts: readonly EncoderInput[], options: EncodeTextsOptions): Promise<Encoded[]> {
    const encoded: Encoded[] = [];
    const failure = new AbortController();
    const signal = AbortSignal.any([failure.signal, ...options.signal ? [options.signal] : []]);
    let next = 0;
    const embedOthers = async () => {
      while (next < texts.length) {
        const at = next++;
        const field = texts.length > 1 ? `${options.field}[${at}]` : options.field;
        encoded[at] = await this.#embed(texts[at], { ...options, field, signal });
      }
    };
    try {
      const { maxSequences } = this.context.engine;
      await Promise.all(Array.from({ length: Math.min(MOST_AT_ONCE, maxSequences, texts.length) }, embedOthers));
      return encoded;
    } catch (error) {
      failure.abort();
      throw error;
    }
  }

  async #embed(input: EncoderInput, options: EncodeTextsOptions & { signal: AbortSignal }): Promise<Encoded> {
    const { engine: { model: { pooling } } } = this.context;
    const prompt = await this.#tokensOf(input, options);
    const values = await this.#vectorOf({
      prompt,
      maxTokens: 0,
      stopTokens: [],
      sampling: GREEDY,
      kvCache: { policy: "full", budget: 1 },
      embed: pooling,
    }, options.signal);
    return { values: normalise(values), tokens: prompt.length };
  }

  async #tokensOf(input: EncoderInput, { truncate, field, signal }: EncodeTextsOptions): Promise<Uint32Array> {
    const { text, engine: { model: { contextLength } } } = this.context;
    const limit = truncate === undefined ? { tokens: contextLength, field } : undefined;
    const tokens = typeof input === "string" ? await text.encode(input, { signal, limit }) : Uint32Array.from(input);
    if (tokens.length <= (truncate ?? contextLength)) return tokens;
    if (truncate === undefined) {
      throw new UnservableRequestError(
        `${field} has ${tokens.length} tokens, and the model reads at most ${contextLength}: shorten it, or set ` +
          "truncate_prompt_tokens",
        field,
        "context_length_exceeded",
      );
    }
    // What ends a text is what it is known by, where the tokenizer puts an end token there.
    const last = tokens.at(-1)!;
    const isEnd = typeof input === "string" && text.tokenizer.endTokens.includes(last);
    return isEnd ? Uint32Array.of(...tokens.subarray(0, truncate - 1), last) : tokens.slice(0, truncate);
  }

  async #vectorOf(request: GenerationRequest, signal: AbortSignal): Promise<Float32Array> {
    signal.throwIfAborted();
    const generation = this.context.engine.generate(request);
    const abort = () => generation.abort();
    signal.addEventListener("abort", abort);
    try {
      for await (const event of generation.events) {
        if (event.type === "embedding") return event.values;
        if (event.type === "failed") throw new HttpError(500, event.message, { code: "generation_failed" });
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
    signal.throwIfAborted();
    throw new HttpError(503, "The server stopped the generation", { code: "generation_stopped" });
  }
}
