/** @file `main.ts tasks`: a sample of a family of tasks, ready to be sent. */
import { generateTask } from "../eval/tasks/families.ts";
import { tokenCounter } from "../eval/tasks/token_counter.ts";
import type { TaskSample } from "../eval/tasks/task.ts";
import { openModel } from "../formats/open.ts";
import { loadTokenizer } from "../text/load_tokenizer.ts";
import { EMBEDDED_MODEL } from "../serving/embedded_model.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { TasksOptions } from "./flags/measuring.ts";

/** Families that ask for no fact with a place of its own: the answer follows from what is said all over the prompt. */
const WITHOUT_PLACE: readonly string[] = ["few-shot"];

/** Prints a sample and, as its `request`, what to send to `/v1/chat/completions`, the answer begun. Its names occur in no training data. */
export async function tasks({ family, length, seed, depth }: TasksOptions): Promise<number> {
  if (depth !== undefined && WITHOUT_PLACE.includes(family)) {
    throw new ExitError("usage", `--depth means nothing for ${family}, whose answer has no place: leave it out`);
  }
  const file = await openModel(EMBEDDED_MODEL);
  const countTokens = tokenCounter(await loadTokenizer(file).finally(() => file.close()));
  const sample = generateTask(family, { length, seed, depth, split: "evaluation", countTokens });
  console.log(JSON.stringify({ ...sample, request: chatRequest(sample) }, null, 2));
  return EXIT_CODES.ok.code;
}

/** The body of a chat request that asks for the sample's answer. */
function chatRequest({ prompt, answerPrefix, maxTokens }: TaskSample) {
  const messages = [{ role: "user", content: prompt }, { role: "assistant", content: answerPrefix }];
  return {
    messages,
    continue_final_message: true,
    add_generation_prompt: false,
    max_tokens: maxTokens,
    temperature: 0,
  };
}
