/** @file The fields of chat completions that other APIs for conversations take by the same names. */
import { sharedFields } from "./shared_fields.ts";

/** Those that go by other names there, or have no place in a reply of theirs. */
const OTHERS = [
  ...["max_tokens", "n_predict", "n", "stop", "stream_options"],
  ...["prompt_logprobs", "return_tokens_as_token_ids", "response_format"],
] as const;

const fields = Object.fromEntries(
  Object.entries(sharedFields).filter(([name]) => !OTHERS.includes(name as (typeof OTHERS)[number])),
) as Omit<typeof sharedFields, (typeof OTHERS)[number]>;

/** How tokens are drawn, the KV cache, and which model. */
export const samplingFields = fields;

/** Their values in a request. */
export function pickSampling<Request extends object>(request: Request): Record<string, unknown> {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, request[name as keyof Request]]));
}
