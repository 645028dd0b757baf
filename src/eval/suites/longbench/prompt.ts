/** @file From a LongBench record to what the model is asked (`pred.py` of LongBench). */
import type { Tokenizer } from "../../../text/tokenizer.ts";
import type { Sample } from "../sample.ts";
import type { LongBenchRecord } from "./records.ts";
import { LONGBENCH_TASKS } from "./tasks.ts";

/** A LongBench record, ready to be asked and scored. */
export interface LongBenchSample extends Sample {
  readonly classes: readonly string[] | null;
  /** Whether the prompt had to be cut. */
  readonly truncated: boolean;
}

/**
 * The sample of a record. A prompt of more than `maxTokens` tokens is cut in the middle, since instructions stand at both
 * ends: its first and last `maxTokens / 2` tokens stay. As in LongBench, the limit is on the prompt before a chat template
 * is put around it, so the caller leaves room for that and for the answer.
 */
export function longBenchSample(
  task: string,
  index: number,
  record: LongBenchRecord,
  tokenizer: Pick<Tokenizer, "encode" | "decode">,
  maxTokens: number,
): LongBenchSample {
  const { prompt: template, maxNewTokens } = LONGBENCH_TASKS[task];
  const [before, after] = template.split("{context}");
  // Functions, since a replacement text would be searched for patterns such as "$&".
  const question = after.replace("{input}", () => record.input);
  const whole = before + record.context + question;
  const prompt = cutInTheMiddle(whole, tokenizer, maxTokens);
  // A question that is longer than half the limit, or not the same after decoding, cannot be told from the context.
  const asked = prompt.endsWith(question) ? question : "";
  return {
    task,
    index,
    context: prompt.slice(0, prompt.length - asked.length),
    question: asked,
    answerPrefix: "",
    answers: record.answers,
    maxNewTokens,
    classes: record.classes,
    truncated: prompt !== whole,
  };
}

/** The text if it has no more than `maxTokens` tokens, special ones counted, else its two ends joined. */
export function cutInTheMiddle(
  text: string,
  tokenizer: Pick<Tokenizer, "encode" | "decode">,
  maxTokens: number,
): string {
  const tokens = tokenizer.encode(text, { parseSpecial: false });
  if (tokens.length <= maxTokens) return text;
  const half = Math.floor(maxTokens / 2);
  return tokenizer.decode(tokens.subarray(0, half)) + tokenizer.decode(tokens.subarray(tokens.length - half));
}
