/** @file A request to the Responses API as one for a chat completion. */
import type { JsonValue } from "../../text/json_text.ts";
import { HttpError } from "../errors.ts";
import { type ChatRequest, chatRequest, type MessageField } from "../requests/chat_request.ts";
import { validate } from "../requests/read.ts";
import { pickSampling } from "../requests/sampling_fields.ts";
import type { TemplateMembers } from "../requests/lossless_members.ts";
import type { InputItem, ResponsesRequest } from "./request.ts";

/** What the client calls the fields of a chat completion. */
const NAMES: readonly (readonly [chat: RegExp, own: string])[] = [
  [/^messages\b/, "input"],
  [/^max_completion_tokens\b/, "max_output_tokens"],
  [/^response_format(\.json_schema)?\b/, "text.format"],
  [/^verbosity\b/, "text.verbosity"],
  [/^reasoning_effort\b/, "reasoning.effort"],
];

/** A field of a chat completion by its name in the Responses API. */
export function responsesField(field: string): string {
  const [chat, own] = NAMES.find(([chat]) => chat.test(field)) ?? [field, field];
  return field.replace(chat, own);
}

/** Which of the kinds of output a client may ask for in addition changes a reply. */
export const INCLUDE_LOGPROBS = "message.output_text.logprobs";

/**
 * Tools of kinds that only OpenAI's own servers run are left out, as coding agents offer them everywhere.
 *
 * @throws {HttpError} 400 what chat completions refuse, by the name of the Responses API
 */
export function toChat(
  request: ResponsesRequest,
  members: TemplateMembers,
): { request: ChatRequest; members: TemplateMembers } {
  const choice = request.tool_choice ?? undefined;
  const allowed = typeof choice === "object" && choice.type === "allowed_tools"
    ? choice.tools.map(({ name }) => name)
    : undefined;
  const isOffered = (name: unknown) => allowed?.includes(name as string) ?? true;
  const functions = (request.tools ?? []).filter(({ type, name }) => type === "function" && isOffered(name));
  if (typeof choice === "object" && choice.type === "function" && !functions.some(({ name }) => name === choice.name)) {
    throw new HttpError(
      400,
      `tool_choice names the function ${JSON.stringify(choice.name)}, which tools does not have`,
      {
        param: "tool_choice",
      },
    );
  }
  const withLogprobs = request.include?.includes(INCLUDE_LOGPROBS) === true;
  const body = {
    ...pickSampling(request),
    stop: request.stop,
    messages: toMessages(request.instructions ?? "", request.input),
    max_completion_tokens: request.max_output_tokens,
    ...withLogprobs && { logprobs: true, top_logprobs: request.top_logprobs },
    ...functions.length > 0 && {
      tools: functions.map(({ type, ...definition }) => ({ type, function: definition })),
      tool_choice: typeof choice !== "object"
        ? choice
        : choice.type === "function"
        ? { type: "function", function: { name: choice.name } }
        : choice.mode,
      parallel_tool_calls: request.parallel_tool_calls,
    },
    response_format: responseFormat(request.text?.format ?? undefined),
    verbosity: request.text?.verbosity,
    reasoning_effort: request.reasoning?.effort,
  };
  return {
    request: validate(chatRequest, body, responsesField),
    members: {
      value(name) {
        if (name !== "tools") return members.value(name);
        return (members.value("tools") as Map<string, JsonValue>[])
          .filter((tool) => tool.get("type") === "function" && isOffered(tool.get("name")))
          .map((tool) => {
            const definition = new Map([...tool].filter(([key]) => key !== "type"));
            return new Map<string, JsonValue>([["type", "function"], ["function", definition]]);
          });
      },
    },
  };
}

function responseFormat(format: { readonly type: string; readonly [field: string]: unknown } | undefined): unknown {
  if (format?.type !== "json_schema") return format;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}

/** Items of the model's own that follow each other are one message. */
function toMessages(instructions: string, items: readonly InputItem[]): MessageField[] {
  const messages: { role: MessageField["role"]; content?: string | null; [field: string]: unknown }[] = [];
  const assistant = (from: "reasoning" | "message" | "function_call") => {
    const last = messages.at(-1);
    const isSame = last?.role === "assistant" && !(from === "message" && last.content) &&
      !(from === "reasoning" && (last.content || last.tool_calls));
    if (isSame) return last;
    messages.push({ role: "assistant", content: null });
    return messages.at(-1)!;
  };
  const isLeading = () => messages.every(({ role }) => role === "system");
  if (instructions) messages.push({ role: "system", content: instructions });
  for (const item of items) {
    switch (item.type) {
      case "message": {
        const text = textOf(item.content);
        // Templates take one system message, at the start.
        if ((item.role === "system" || item.role === "developer") && isLeading()) {
          if (messages.length === 0) messages.push({ role: "system", content: text });
          else messages[0].content += `\n\n${text}`;
        } else if (item.role === "assistant") assistant("message").content = text;
        else messages.push({ role: item.role, content: text });
        break;
      }
      case "reasoning": {
        const text = textOf(item.content ?? []) || textOf(item.summary ?? []);
        if (text) assistant("reasoning").reasoning_content = text;
        break;
      }
      case "function_call": {
        const message = assistant("function_call");
        const call = {
          id: item.call_id,
          type: "function",
          function: { name: item.name, arguments: item.arguments },
        };
        message.tool_calls = [...message.tool_calls as unknown[] ?? [], call];
        break;
      }
      case "function_call_output":
        messages.push({ role: "tool", tool_call_id: item.call_id, content: textOf(item.output) });
        break;
    }
  }
  return messages as MessageField[];
}

function textOf(content: string | readonly { readonly text?: string; readonly refusal?: string }[]): string {
  if (typeof content === "string") return content;
  return content.map(({ text, refusal }) => text ?? refusal ?? "").join("\n");
}
