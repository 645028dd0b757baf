/** @file A needle in a haystack: a document is made, a magic number of it is asked for, and the answer is looked at. */
import { useState } from "hono/jsx/dom";
import type { Answer } from "./answer.ts";
import { AnswerText } from "./answer_text.tsx";
import { CacheView } from "./cache_view.tsx";
import { ChoiceForm, valueOf } from "./choice_form.tsx";
import { chosen, kvCacheField, type KvChoice } from "./kv_choice.ts";
import { isRight, makeNeedle, type Needle, NEEDLE_LENGTHS } from "./needle.ts";
import { DEMO_BUDGET, type PanelProps } from "./panels.ts";
import { useAnswer } from "./use_answer.ts";

/** A question that has been answered. */
interface Result {
  readonly policy: string;
  readonly budget: string;
  readonly length: number;
  readonly depth: number;
  readonly isRight: boolean;
  readonly ratio: number;
}

export function NeedleDemo({ server, model, list, layers, initial, contextLength }: PanelProps) {
  const [choice, setChoice] = useState<KvChoice>({ ...initial, budget: DEMO_BUDGET });
  const [length, setLength] = useState("600");
  const [depth, setDepth] = useState("50");
  const [seed, setSeed] = useState(1);
  const [needle, setNeedle] = useState<Needle | null>(null);
  const [results, setResults] = useState<readonly Result[]>([]);
  const [problem, setProblem] = useState<string | null>(null);
  const { answer, isBusy, start, stop } = useAnswer(server);
  const most = Math.min(NEEDLE_LENGTHS.most, contextLength);

  const hide = async (nextSeed: number) => {
    if (isBusy) return;
    setSeed(nextSeed);
    const wish = { length: Number(length), depth: Number(depth) / 100, seed: nextSeed };
    let hidden: Needle;
    try {
      hidden = makeNeedle(wish);
      setProblem(null);
    } catch (error) {
      return setProblem(`${(error as Error).message}.`);
    }
    setNeedle(hidden);
    const { prompt, maxTokens } = hidden;
    const ended = await start({ model, prompt, kvCache: kvCacheField(list, choice), maxTokens, temperature: 0 });
    const cache = ended?.cache;
    if (ended?.phase !== "ended" || !cache) return;
    setResults((before) => [{
      policy: chosen(list, choice).name,
      budget: choice.budget,
      length: cache.prompt_rows,
      depth: wish.depth,
      isRight: isRight(hidden, ended.text),
      ratio: cache.bytes / cache.full_bytes,
    }, ...before]);
  };
  return (
    <div class="panel">
      <h2 class="unseen">Needle in a haystack</h2>
      <section class="main" aria-label="Needle in a haystack">
        <form
          class="ask"
          onSubmit={(event: Event) => {
            event.preventDefault();
            hide(seed);
          }}
        >
          <p>
            A sentence with a magic number is hidden in a document that is made here, and the number is asked for. The
            model can only answer from what the cache has kept.
          </p>
          <div class="pair">
            <label>
              Length
              <input
                type="number"
                min={NEEDLE_LENGTHS.least}
                max={most}
                value={length}
                onInput={(event: Event) => setLength(valueOf(event))}
              />
              <span class="hint">Tokens, roughly</span>
            </label>
            <label>
              Depth
              <input
                type="range"
                min={0}
                max={100}
                value={depth}
                onInput={(event: Event) => setDepth(valueOf(event))}
              />
              <span class="hint">{depth} % of the document come before it</span>
            </label>
          </div>
          <div class="buttons">
            {isBusy
              ? <button type="button" key="stop" onClick={stop}>Stop</button>
              : <button type="submit" key="ask" class="primary">Hide and ask</button>}
            <button type="button" disabled={isBusy} onClick={() => hide(seed + 1)}>Another document</button>
          </div>
        </form>
        {problem !== null && <p class="error" role="alert">{problem}</p>}
        {needle !== null && answer !== null && <Verdict needle={needle} answer={answer} />}
        {results.length > 0 && <Results results={results} />}
      </section>
      <aside class="side" aria-label="Settings and cache">
        <ChoiceForm list={list} choice={choice} onChange={setChoice} legend="KV cache" />
      </aside>
      {needle !== null && answer !== null && (
        <div class="below">
          <CacheView answer={answer} layers={layers} sentence={needle.sentence} />
        </div>
      )}
    </div>
  );
}

function Verdict({ needle, answer }: { readonly needle: Needle; readonly answer: Answer }) {
  const isOver = answer.phase === "ended" && answer.usage !== null;
  const right = isOver && isRight(needle, answer.text);
  return (
    <article class="assistant">
      <h3>Answer</h3>
      <p class="hint" dir="auto">Hidden: {needle.sentence}</p>
      <AnswerText answer={answer} />
      {isOver && (
        <p class={`verdict ${right ? "right" : "wrong"}`} role="status">
          {right ? "✓ Right: the answer has the number." : `✗ Wrong: expected ${needle.answer}.`}
        </p>
      )}
    </article>
  );
}

function Results({ results }: { readonly results: readonly Result[] }) {
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="Questions so far">
      <table>
        <caption>Questions so far</caption>
        <thead>
          <tr>
            {["Policy", "Answer", "Budget", "Cache", "Tokens", "Depth"].map((name) => (
              <th scope="col" key={name}>{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {results.map((result, at) => (
            <tr key={results.length - at}>
              <td>{result.policy}</td>
              <td>{result.isRight ? "✓ right" : "✗ wrong"}</td>
              <td>{result.policy === "full" ? "–" : result.budget}</td>
              <td>{Math.round(100 * result.ratio)} %</td>
              <td>{result.length}</td>
              <td>{Math.round(100 * result.depth)} %</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
