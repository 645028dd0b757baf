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

/**
 * Starts a grammar worker as soon as there is something to follow.
 *
 * @param vocabulary is asked for it then
 */
export function workerGuides(vocabulary: () => PackedVocabulary): GuidesMaker {
  return (onGuidance) => {
    let worker: Worker | null = null;
    const open = new Set<number>();
    const start = () => {
      const started = new Worker(new URL("../text/grammar/grammar_worker.ts", import.meta.url), { type: "module" });
      const post = (message: ToGrammarWorker) => started.postMessage(message);
      started.onmessage = ({ data }: MessageEvent<Guidance>) => onGuidance(data);
      started.onerror = (event) => {
        event.preventDefault();
        worker = null;
        const ids = [...open];
        open.clear();
        for (const id of ids) {
          onGuidance({ type: "failed", id, message: `The grammar worker failed: ${event.message}` });
        }
      };
      post({ type: "start", vocabulary: vocabulary() });
      return started;
    };
    return {
      send(message) {
        if (message.type === "end") open.delete(message.id);
        else open.add(message.id);
        if (worker === null && message.type === "end") return;
        worker ??= start();
        worker.postMessage(message);
      },
      close() {
        worker?.terminate();
        worker = null;
      },
    };
  };
}
