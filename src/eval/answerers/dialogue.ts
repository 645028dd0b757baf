/** @file A generation that is taken up again whenever it pauses. */
import type { Engine } from "../../contract/engine.ts";
import type { GenerationEvent, GenerationRequest, KvCacheUsage, Resumption } from "../../contract/generation.ts";

/** What came between two pauses. */
export interface Part {
  /** Ids of the tokens drawn, with the one that ended the answer. */
  readonly tokens: readonly number[];
  /** Of the given tokens, as far as they were asked for, `[vocabulary]` each. */
  readonly logits: readonly Float32Array[];
}

export class Dialogue {
  /** What the prompt's cache came to; known after the first part. */
  kvCache: KvCacheUsage | undefined;
  readonly #events: AsyncIterator<GenerationEvent>;
  readonly #resume: (resumption: Resumption) => void;

  /** @throws {Error} if the engine refuses */
  constructor(engine: Engine, request: GenerationRequest & { readonly resumableTokens: number }) {
    const generation = engine.generate(request);
    this.#events = generation.events[Symbol.asyncIterator]();
    this.#resume = (resumption) => generation.resume(resumption);
  }

  /**
   * Waits for the next pause.
   *
   * @throws {Error} if the engine fails
   */
  async part(): Promise<Part> {
    const tokens: number[] = [];
    const logits: Float32Array[] = [];
    for (;;) {
      const { value: event, done } = await this.#events.next();
      if (done || event.type === "finished") throw new Error("The generation was stopped");
      if (event.type === "failed") throw new Error(`The generation failed: ${event.message}`);
      if (event.type === "prefilled") this.kvCache = event.kvCache;
      if (event.type === "tokens") tokens.push(...event.tokens.map(({ id }) => id));
      if (event.type === "logits") logits.push(...event.logits);
      if (event.type === "paused") return { tokens, logits };
    }
  }

  /** Goes on after a pause, up to the next. */
  resume(resumption: Resumption): Promise<Part> {
    this.#resume(resumption);
    return this.part();
  }

  /** Frees what the generation holds. */
  async end(): Promise<void> {
    await this.#events.return?.();
  }
}
