/** @file Two policies side by side on one prompt, with the place where their answers part. */
import { useRef, useState } from "hono/jsx/dom";
import { AnswerText } from "./answer_text.tsx";
import { CacheView, mostRows } from "./cache_view.tsx";
import { ChoiceForm, valueOf } from "./choice_form.tsx";
import { kvCacheField, type KvChoice } from "./kv_choice.ts";
import { DEMO_BUDGET, type PanelProps } from "./panels.ts";
import { commonLength, partingSentence } from "./parting.ts";
import { useAnswer } from "./use_answer.ts";

export function Compare({ server, model, list, layers, initial }: PanelProps) {
  const [choices, setChoices] = useState<readonly [KvChoice, KvChoice]>([{ ...initial, policy: "full" }, {
    ...initial,
    budget: DEMO_BUDGET,
  }]);
  const [isChat, setChat] = useState(true);
  const [maxTokens, setMaxTokens] = useState("128");
  const sides = [useAnswer(server), useAnswer(server)] as const;
  const input = useRef<HTMLTextAreaElement>(null);
  const isBusy = sides.some((side) => side.isBusy);
  const [a, b] = sides.map(({ answer }) => answer);
  const stop = () => sides.forEach((side) => side.stop());

  const run = () => {
    const prompt = input.current!.value;
    if (prompt.trim() === "" || isBusy) return;
    sides.forEach((side, at) =>
      side.start({
        model,
        prompt: isChat ? [{ role: "user", content: prompt }] : prompt,
        kvCache: kvCacheField(list, choices[at]),
        maxTokens: Number(maxTokens) || undefined,
        // The likeliest tokens: what differs then comes of the cache alone.
        temperature: 0,
      })
    );
  };
  const hasBoth = a !== null && b !== null && a.text !== "" && b.text !== "";
  // While both are on their way, one of them is only behind.
  const common = hasBoth ? commonLength(a.text, b.text) : undefined;
  // One scale for both.
  const most = Math.max(...[a, b].map((answer) => answer === null ? 1 : mostRows(answer)));
  const isOver = hasBoth && !isBusy && a.phase === "ended" && b.phase === "ended";
  return (
    <div class="panel wide">
      <h2 class="unseen">Compare two policies</h2>
      <section class="main" aria-label="Prompt">
        <form
          class="ask"
          onSubmit={(event: Event) => {
            event.preventDefault();
            run();
          }}
        >
          <label>
            Prompt of both
            <textarea
              rows={6}
              dir="auto"
              ref={input}
              onKeyDown={(event: KeyboardEvent) => {
                if (event.key === "Escape") stop();
                if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
              }}
            />
          </label>
          <div class="buttons">
            <label class="check">
              <input
                type="checkbox"
                checked={isChat}
                onChange={(event: Event) => setChat((event.target as HTMLInputElement).checked)}
              />
              as a message of a chat
            </label>
            <label class="inline">
              Most tokens
              <input type="number" min={1} value={maxTokens} onInput={(event: Event) => setMaxTokens(valueOf(event))} />
            </label>
            {isBusy
              ? <button type="button" key="stop" onClick={stop}>Stop</button>
              : <button type="submit" key="run" class="primary">Compare</button>}
          </div>
          <p class="hint">Control and Enter compare, Escape stops. Both take the likeliest tokens.</p>
        </form>
      </section>
      {isOver && <p class="verdict" role="status">{partingSentence(a.text, b.text)}</p>}
      <div class="sides">
        {sides.map(({ answer }, at) => (
          <section key={at} class={`half half${at}`} aria-label={`Side ${"AB"[at]}`}>
            <h3>{"AB"[at]}</h3>
            <ChoiceForm
              list={list}
              choice={choices[at]}
              legend={`KV cache of ${"AB"[at]}`}
              onChange={(choice) => setChoices(at === 0 ? [choice, choices[1]] : [choices[0], choice])}
            />
            {answer !== null && (
              <>
                <article class="assistant">
                  <h4>Answer</h4>
                  <AnswerText answer={answer} common={isOver ? common : undefined} />
                </article>
                <CacheView answer={answer} layers={layers} most={most} of={"AB"[at]} />
              </>
            )}
          </section>
        ))}
      </div>
    </div>
  );
}
