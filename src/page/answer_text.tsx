/** @file The text of an answer as it comes in, with its thoughts, its speed, and why it failed if it did. */
import type { Answer } from "./answer.ts";

interface Props {
  readonly answer: Answer;
  /** UTF-16 units that another answer has in common with it; what follows is marked. */
  readonly common?: number;
}

export function AnswerText({ answer, common }: Props) {
  const { text, reasoning, error, phase } = answer;
  const shared = common === undefined ? text : text.slice(0, common);
  const own = text.slice(shared.length);
  return (
    <>
      {reasoning !== "" && (
        <details class="reasoning">
          <summary>Thoughts</summary>
          <p dir="auto">{reasoning}</p>
        </details>
      )}
      <p class="text" dir="auto">
        {shared.trimStart()}
        {own !== "" && <mark>{own}</mark>}
        {phase === "reading" && <span class="hint">Reading the prompt …</span>}
      </p>
      {error !== null && <p class="error" role="alert">{error}</p>}
      <p class="hint speed" role="status">{speed(answer)}</p>
    </>
  );
}

/** How many tokens, and how fast. */
export function speed({ usage, tokensPerSecond }: Answer): string {
  if (usage === null) return "";
  const { prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens } } = usage;
  const cached = cached_tokens > 0 ? `, ${cached_tokens} of them from the prefix cache` : "";
  const rate = tokensPerSecond === null ? "" : ` at ${tokensPerSecond.toFixed(1)} a second`;
  return `${prompt_tokens} tokens read${cached}; ${completion_tokens} written${rate}.`;
}
