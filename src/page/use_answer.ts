/** @file The hook that components ask with: the answer so far, and functions to begin and to stop it. */
import { useEffect, useRef, useState } from "hono/jsx/dom";
import { type Answer, ask, type Asked, NO_ANSWER } from "./answer.ts";
import { sentenceOf, type Server } from "./server.ts";

export interface AnswerInHand {
  /** Null until something has been asked. */
  readonly answer: Answer | null;
  readonly isBusy: boolean;
  /** Resolves to the answer as it ended, or was stopped; to null where it has been forgotten meanwhile. */
  start(asked: Asked): Promise<Answer | null>;
  stop(): void;
  /** Stops and forgets the answer. */
  clear(): void;
}

export function useAnswer(server: Server): AnswerInHand {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [isBusy, setBusy] = useState(false);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  return {
    answer,
    isBusy,
    async start(asked) {
      controller.current?.abort();
      const own = controller.current = new AbortController();
      let now = NO_ANSWER;
      let isDrawn = true;
      const draw = () => {
        isDrawn = true;
        if (controller.current === own) setAnswer(now);
      };
      const tell = (change: Partial<Answer>) => {
        now = { ...now, ...change };
        // Tokens can come faster than pictures.
        if (isDrawn) requestAnimationFrame(draw);
        isDrawn = false;
      };
      setAnswer(now);
      setBusy(true);
      try {
        await ask(server, asked, own.signal, tell);
      } catch (error) {
        const sentence = sentenceOf(error);
        now = { ...now, phase: sentence === null ? "ended" : "failed", error: sentence };
      }
      if (controller.current !== own) return null;
      setAnswer(now);
      setBusy(false);
      return now;
    },
    stop: () => controller.current?.abort(),
    clear() {
      controller.current?.abort();
      controller.current = null;
      setAnswer(null);
      setBusy(false);
    },
  };
}
