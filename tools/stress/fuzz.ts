/** @file Sends wrong requests and looks at the answers: none may be a failure of the server's, and none may hang. */
import { Random } from "../../src/eval/tasks/random.ts";
import { mutateBytes, mutateValue, oddHeaders } from "./mutate.ts";

/** Requests that are right, of every endpoint that takes a body. */
const SEEDS: readonly { readonly path: string; readonly body: unknown }[] = [
  {
    path: "/v1/completions",
    body: { prompt: ["a", "é世😀"], max_tokens: 3, n: 2, logprobs: 2, echo: true, stop: ["x"], stream: false },
  },
  {
    path: "/v1/completions",
    body: {
      prompt: [1, 2, 3],
      max_tokens: 3,
      stream: true,
      logit_bias: { 5: -1 },
      kv_cache: { policy: "snapkv", budget: 8 },
      min_tokens: 2,
      stop_token_ids: [2],
      priority: -1,
      cache_salt: "s",
    },
  },
  {
    path: "/v1/completions",
    body: { prompt: "a", suffix: "b", max_tokens: 3, guided_grammar: 'root ::= "a" [b-d]{2,3} ("é" | root)?' },
  },
  {
    path: "/v1/completions",
    body: { prompt: "a", max_tokens: 3, structured_outputs: { grammar: 'start: WORD ("," WORD)*\nWORD: /[a-z]+/' } },
  },
  {
    path: "/v1/chat/completions",
    body: {
      messages: [{ role: "system", content: "s" }, { role: "user", content: [{ type: "text", text: "Hi" }] }],
      max_tokens: 3,
      stream: true,
      stream_options: { include_usage: true },
      response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "object", properties: {} } } },
    },
  },
  {
    path: "/v1/chat/completions",
    body: {
      messages: [{ role: "user", content: "Hi" }, {
        role: "assistant",
        tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
      }, { role: "tool", tool_call_id: "c", content: "1" }],
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
      tool_choice: "auto",
      max_completion_tokens: 3,
      chat_template_kwargs: { enable_thinking: false },
    },
  },
  {
    path: "/v1/chat/completions",
    body: {
      messages: [{ role: "user", content: "Hi" }],
      tools: [{ type: "function", function: { name: "f", strict: true, parameters: { type: "object" } } }],
      response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "array", items: {} } } },
      max_tokens: 12,
    },
  },
  {
    path: "/v1/chat/completions",
    body: {
      messages: [{ role: "user", content: "Hi" }],
      tools: [{ type: "function", function: { name: "f" } }, { type: "function", function: { name: "g" } }],
      tool_choice: {
        type: "allowed_tools",
        allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "g" } }] },
      },
      max_tokens: 12,
    },
  },
  { path: "/v1/completions", body: { prompt: "a b", echo: true, logprobs: 1, max_tokens: 0 } },
  {
    path: "/v1/responses",
    body: {
      instructions: "s",
      input: [{ role: "user", content: [{ type: "input_text", text: "Hi" }] }, {
        type: "function_call",
        call_id: "c",
        name: "f",
        arguments: "{}",
      }, { type: "function_call_output", call_id: "c", output: "1" }],
      tools: [{ type: "function", name: "f", parameters: {} }, { type: "web_search" }],
      max_output_tokens: 3,
      stream: true,
    },
  },
  { path: "/v1/responses/input_tokens", body: { input: "Hi", reasoning: { effort: "low" } } },
  {
    path: "/v1/messages",
    body: {
      system: [{ type: "text", text: "s" }],
      messages: [{ role: "user", content: "Hi" }, {
        role: "assistant",
        content: [{ type: "tool_use", id: "c", name: "f", input: { a: 1.0 } }],
      }, { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: "1" }] }],
      max_tokens: 3,
      stop_sequences: ["x"],
      thinking: { type: "disabled" },
      stream: true,
    },
  },
  { path: "/v1/messages/count_tokens", body: { messages: [{ role: "user", content: "Hi" }] } },
  { path: "/apply-template", body: { messages: [{ role: "user", content: "Hi" }] } },
  { path: "/tokenize", body: { prompt: "a 世", return_token_strs: true } },
  {
    path: "/tokenize",
    body: {
      messages: [{ role: "user", content: "Hi" }],
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
      chat_template_kwargs: { enable_thinking: false },
      with_pieces: true,
    },
  },
  { path: "/detokenize", body: { tokens: [1, 2, 3] } },
];

/** Statuses from 500 on that are meant: no room, no time, no encoder. */
const DELIBERATE = new Set([501, 503, 504]);

/** A request that was answered as none may be. */
export interface Finding {
  readonly path: string;
  /** The body, with what is no text replaced. */
  readonly body: string;
  readonly why: string;
}

/**
 * @param send sends a request to the server under test
 * @param clients that send at once, each its share of the requests. Default: 1
 * @param patienceMilliseconds after which a request counts as hanging
 */
export async function fuzz(
  { count, seed, send, clients = 1, patienceMilliseconds = 10_000 }: {
    count: number;
    seed: number;
    clients?: number;
    send: (path: string, init: RequestInit) => Promise<Response>;
    patienceMilliseconds?: number;
  },
): Promise<{ findings: Finding[]; statuses: Map<number, number> }> {
  const encoder = new TextEncoder();
  const findings: Finding[] = [];
  const statuses = new Map<number, number>();
  const client = async (_: unknown, number: number) => {
    const random = new Random(`fuzz ${seed} ${number}`);
    for (let i = number; i < count; i += clients) await sendOne(random);
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { findings, statuses };

  async function sendOne(random: Random): Promise<void> {
    const { path, body: valid } = random.pick(SEEDS);
    let value: unknown = valid;
    for (let change = random.between(0, 3); change > 0; change--) value = mutateValue(value, random);
    const text = JSON.stringify(value) ?? "";
    const body = random.below(3) === 0 ? mutateBytes(encoder.encode(text), random) : encoder.encode(text);
    const found = await tryOne(path, { method: "POST", body, headers: oddHeaders(random) });
    if (found.why !== null) findings.push({ path, body: new TextDecoder().decode(body), why: found.why });
    statuses.set(found.status, (statuses.get(found.status) ?? 0) + 1);
  }

  async function tryOne(path: string, init: RequestInit): Promise<{ status: number; why: string | null }> {
    let timer;
    const hang = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), patienceMilliseconds));
    try {
      const answered = await Promise.race([answerOf(path, init), hang]);
      if (answered === null) return { status: 0, why: "it hangs" };
      return { status: answered.status, why: faultOf(answered) };
    } catch (error) {
      return { status: 0, why: `it is not answered: ${(error as Error).message}` };
    } finally {
      clearTimeout(timer);
    }
  }

  async function answerOf(path: string, init: RequestInit) {
    const response = await send(path, init);
    return { status: response.status, type: response.headers.get("content-type") ?? "", text: await response.text() };
  }
}

/** What is wrong with an answer, if anything. */
function faultOf({ status, type, text }: { status: number; type: string; text: string }): string | null {
  if (status >= 500 && !DELIBERATE.has(status)) return `status ${status}: ${text.slice(0, 300)}`;
  if (/"code":"(internal_error)"/.test(text)) return `an internal error: ${text.slice(0, 300)}`;
  if (type.startsWith("text/event-stream")) return text.endsWith("\n\n") ? null : "its stream ends within an event";
  let reply;
  try {
    reply = JSON.parse(text);
  } catch {
    return `status ${status}, and no JSON: ${text.slice(0, 300)}`;
  }
  if (status < 400) return null;
  return typeof reply.error?.message === "string" && reply.error.message !== ""
    ? null
    : `status ${status} without a message`;
}
