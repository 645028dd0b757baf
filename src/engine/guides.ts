/**
 * @file What follows texts through their grammars while the engine computes, in a thread of its own.
 *
 *     engine --begin, advance, end--> grammar worker
 *     engine <--guidance------------- grammar worker
 */
import type { FromGrammarWorker, ToGrammarWorker } from "../text/grammar/grammar_worker.ts";
import type { PackedVocabulary } from "../text/grammar/packed_vocabulary.ts";

export type Guidance = FromGrammarWorker;
type Asked = Exclude<ToGrammarWorker, { type: "start" }>;

/** Follows texts, each known by the id of its sequence. Every `begin` and `advance` has one answer, later. */
export interface Guides {
  send(message: Asked): void;
  close(): void;
}

/** Makes what follows texts; it answers to `onGuidance`. */
export type GuidesMaker = (onGuidance: (guidance: Guidance) => void) => Guides;

/** Allows any token anywhere: for rehearsals. */
export const NO_GUIDANCE: GuidesMaker = (onGuidance) => ({
  send({ type, id }) {
    if (type !== "end") {
      queueMicrotask(() => onGuidance({ type: "next", id, replacement: null, mask: Uint32Array.of(~0) }));
    }
  },
  close() {},
});

/** Milliseconds without any answer after which a grammar worker is given up, with all the texts that it follows. */
const PATIENCE = 60_000;

/**
 * Starts a grammar worker as soon as there is something to follow.
 *
 * @param vocabulary is asked for it then
 */
export function workerGuides(vocabulary: () => PackedVocabulary): GuidesMaker {
  return (onGuidance) => new WorkerGuides(vocabulary, onGuidance);
}

class WorkerGuides implements Guides {
  #worker: Worker | null = null;
  /** Texts under way. */
  readonly #open = new Set<number>();
  #unanswered = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly vocabulary: () => PackedVocabulary, readonly onGuidance: (guidance: Guidance) => void) {}

  send(message: Asked): void {
    if (message.type === "end") this.#open.delete(message.id);
    else {
      this.#open.add(message.id);
      this.#unanswered++;
      this.#worker ??= this.#start();
      this.#watch();
    }
    this.#worker?.postMessage(message);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = null;
  }

  #start(): Worker {
    const worker = new Worker(new URL("../text/grammar/grammar_worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Guidance>) => {
      this.#unanswered--;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      if (this.#unanswered > 0) this.#watch();
      this.onGuidance(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#giveUp(event.message);
    };
    const start: ToGrammarWorker = { type: "start", vocabulary: this.vocabulary() };
    worker.postMessage(start);
    return worker;
  }

  #watch(): void {
    this.#timer ??= setTimeout(() => this.#giveUp("a grammar took too long to follow"), PATIENCE);
  }

  /** The next text starts another worker. */
  #giveUp(reason: string): void {
    this.close();
    this.#timer = undefined;
    this.#unanswered = 0;
    const ids = [...this.#open];
    this.#open.clear();
    for (const id of ids) this.onGuidance({ type: "failed", id, message: `The grammar worker failed: ${reason}` });
  }
}
