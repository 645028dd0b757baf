/** @file The fields of chat completions that other APIs for conversations take by the same names. */
import { sharedFields } from "./shared_fields.ts";

const { max_tokens: _, n_predict: __, n: ___, stop: ____, stream_options: _____, ...fields } = sharedFields;

/** How tokens are drawn, the KV cache, and which model. */
export const samplingFields = fields;

/** Their values in a request. */
export function pickSampling<Request extends object>(request: Request): Record<string, unknown> {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, request[name as keyof Request]]));
}
