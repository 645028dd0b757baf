/** @file The body of `POST /v1/completions`. */
import { z } from "zod";
import { boolean, integerFrom, isTokenId, text } from "./checks.ts";
import { refusals, REFUSED_COMPLETION_FIELDS } from "./refused_fields.ts";
import { checkTogether, MAX_CHOICES, MAX_TOP_LOGPROBS, sharedFields } from "./shared_fields.ts";

const MAX_PROMPTS = 1024;

/** A prompt, or several: texts or token ids. Checked by hand: a union would walk a long array once per alternative. */
export type PromptField = string | string[] | number[] | number[][];

const TOKEN_ID = { type: "integer", minimum: 0 };

function isPrompt(value: unknown): value is PromptField {
  if (typeof value === "string") return true;
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] !== "number" && value.length > MAX_PROMPTS) return false;
  if (typeof value[0] === "string") return value.every((item) => typeof item === "string");
  const isTokenList = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every(isTokenId);
  return Array.isArray(value[0]) ? value.every(isTokenList) : isTokenList(value);
}

/** `POST /v1/completions`. */
export const completionRequest = z.object({
  ...sharedFields,
  ...refusals(REFUSED_COMPLETION_FIELDS),
  prompt: z.custom<PromptField>(isPrompt, {
    error: "expected a string, an array of strings, an array of token ids, or an array of those, none of them empty, " +
      `and at most ${MAX_PROMPTS} prompts`,
  }).meta({
    anyOf: [
      { type: "string" },
      ...[{ type: "string" }, TOKEN_ID, { type: "array", items: TOKEN_ID }].map((items) => ({
        type: "array" as const,
        items,
      })),
    ],
  }),
  // None are asked for by who wants to know what the model thinks of the prompt.
  max_tokens: integerFrom(0).nullish(),
  // With a model that was trained to infill, the text that follows.
  suffix: text.nullish(),
  echo: boolean.nullish(),
  best_of: integerFrom(1, MAX_CHOICES).nullish(),
  logprobs: integerFrom(0, MAX_TOP_LOGPROBS).nullish(),
}, { error: "expected a JSON object" })
  .refine(({ best_of, n }) => !best_of || best_of >= (n ?? 1), {
    path: ["best_of"],
    error: "expected it to be at least n",
  })
  .refine(({ best_of, stream }) => !best_of || !stream || best_of === 1, {
    path: ["best_of"],
    error: "expected it to be absent beside stream: which one is best is known at the end",
  })
  .refine(({ suffix, echo }) => !suffix || !echo, {
    path: ["echo"],
    error: "expected it to be absent beside suffix: the reply is what comes between",
  })
  .superRefine(checkTogether);
