/** @file A conversation with the model. */
import { useEffect, useRef, useState } from "hono/jsx/dom";
import type { Message } from "./answer.ts";
import { AnswerText } from "./answer_text.tsx";
import { CacheView } from "./cache_view.tsx";
import { ChoiceForm, valueOf } from "./choice_form.tsx";
import { kvCacheField, type KvChoice } from "./kv_choice.ts";
import type { PanelProps } from "./panels.ts";
import { useAnswer } from "./use_answer.ts";

export function Chat({ server, model, list, layers, initial }: PanelProps) {
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [choice, setChoice] = useState<KvChoice>(initial);
  const [temperature, setTemperature] = useState("");
  const [maxTokens, setMaxTokens] = useState("512");
  const { answer, isBusy, start, stop, clear } = useAnswer(server);
  const input = useRef<HTMLTextAreaElement>(null);
  const log = useRef<HTMLElement>(null);
  useEffect(() => {
    // An effect gives back what ends it, and some browsers' scrollTo() a promise.
    log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [messages, answer]);

  const send = async () => {
    const content = input.current!.value.trim();
    if (content === "" || isBusy) return;
    const asked: Message[] = [...messages, { role: "user", content }];
    input.current!.value = "";
    setMessages(asked);
    const ended = await start({
      model,
      prompt: asked,
      kvCache: kvCacheField(list, choice),
      ...maxTokens.trim() !== "" && { maxTokens: Number(maxTokens) },
      ...temperature.trim() !== "" && { temperature: Number(temperature) },
    });
    if (ended === null) return;
    if (ended.error === null) {
      setMessages([...asked, { role: "assistant", content: ended.text }]);
      return;
    }
    // What could not be answered can be sent again.
    setMessages(asked.slice(0, -1));
    input.current!.value = content;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") stop();
    // Enter that ends the spelling of a character sends nothing.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const begin = () => {
    clear();
    setMessages([]);
    input.current!.focus();
  };
  // The last answer is shown from what came in; earlier ones from the conversation.
  const isAnswered = answer?.phase === "ended" && messages.at(-1)?.role === "assistant";
  const earlier = isAnswered ? messages.slice(0, -1) : messages;
  return (
    <div class="panel">
      <h2 class="unseen">Chat</h2>
      <section class="main" aria-label="Conversation">
        <div class="log" ref={log} tabindex={0} role="log" aria-label="Messages" aria-live="off">
          {messages.length === 0 && answer === null && (
            <p class="hint">
              Ask something. What the cache keeps of the conversation is shown beside it, under the policy and the
              budget that you choose.
            </p>
          )}
          {earlier.map(({ role, content }, at) => (
            <article key={at} class={role}>
              <h3>{role === "user" ? "You" : "Model"}</h3>
              <p class="text" dir="auto">{content.trimStart()}</p>
            </article>
          ))}
          {answer !== null && (
            <article class="assistant" key="last">
              <h3>Model</h3>
              <AnswerText answer={answer} />
            </article>
          )}
        </div>
        <form
          class="ask"
          onSubmit={(event: Event) => {
            event.preventDefault();
            send();
          }}
        >
          <label>
            Message
            <textarea rows={3} dir="auto" ref={input} onKeyDown={onKeyDown} aria-describedby="chat-keys" />
          </label>
          <p class="hint" id="chat-keys">Enter sends, Shift and Enter begin a new line, Escape stops.</p>
          <div class="buttons">
            {isBusy
              ? <button type="button" key="stop" onClick={stop}>Stop</button>
              : <button type="submit" key="send" class="primary">Send</button>}
            <button type="button" onClick={begin}>New conversation</button>
          </div>
        </form>
      </section>
      <aside class="side" aria-label="Settings and cache">
        <ChoiceForm list={list} choice={choice} onChange={setChoice} legend="KV cache" />
        <fieldset class="choice">
          <legend>Answer</legend>
          <div class="pair">
            <label>
              Most tokens
              <input type="number" min={1} value={maxTokens} onInput={(event: Event) => setMaxTokens(valueOf(event))} />
            </label>
            <label>
              Temperature
              <input
                type="number"
                min={0}
                max={100}
                step="any"
                placeholder="model's own"
                value={temperature}
                onInput={(event: Event) => setTemperature(valueOf(event))}
              />
            </label>
          </div>
        </fieldset>
        {answer !== null && <CacheView answer={answer} layers={layers} />}
      </aside>
    </div>
  );
}
