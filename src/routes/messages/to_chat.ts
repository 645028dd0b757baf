/** @file A request to Anthropic's Messages API as one for a chat completion. */
import { jsonText, type JsonValue } from "../../text/json_text.ts";
import { HttpError } from "../errors.ts";
import { type ChatRequest, chatRequest, type MessageField } from "../requests/chat_request.ts";
import { validate } from "../requests/read.ts";
import { pickSampling } from "../requests/sampling_fields.ts";
import type { TemplateMembers } from "../requests/lossless_members.ts";
import type { Block, MessagesRequest, TextContent } from "./request.ts";

type JsonObject = Map<string, JsonValue>;

/** What the client calls the fields of a chat completion. */
const NAMES: readonly (readonly [chat: RegExp, own: string])[] = [
  [/^stop\b/, "stop_sequences"],
  [/^response_format(\.json_schema)?\b/, "output_config.format"],
  [/^thinking_token_budget\b/, "thinking.budget_tokens"],
];

/** A field of a chat completion by its name in the Messages API. */
export function messagesField(field: string): string {
  const [chat, own] = NAMES.find(([chat]) => chat.test(field)) ?? [field, field];
  return field.replace(chat, own);
}

/**
 * Tools that are defined by a type of Anthropic's own are left out: only its models know what they take.
 *
 * @throws {HttpError} 400 what chat completions refuse, by the name of the Messages API
 */
export function toChat(
  request: MessagesRequest,
  members: TemplateMembers,
): { request: ChatRequest; members: TemplateMembers } {
  const tools = (request.tools ?? []).filter(isOwnTool);
  const { tool_choice: choice, output_config: output, thinking } = request;
  if (choice?.type === "tool" && !tools.some(({ name }) => name === choice.name)) {
    throw new HttpError(400, `tool_choice names the tool ${JSON.stringify(choice.name)}, which tools does not have`, {
      param: "tool_choice",
    });
  }
  const system = withoutBillingHeader(request.system ?? "");
  const messages = [
    ...system ? [{ role: "system", content: system }] : [],
    ...toMessages(request, members),
  ] as MessageField[];
  // A message without any block comes to nothing.
  if (messages.length === 0) {
    throw new HttpError(400, "messages holds no block of content; expected a text to answer", { param: "messages" });
  }
  const isBegun = messages.at(-1)!.role === "assistant";
  // An effort says here how much is to be done, not whether there are to be thoughts.
  const kwargs = {
    ...thinking && { enable_thinking: thinking.type !== "disabled" },
    ...typeof output?.effort === "string" && { reasoning_effort: output.effort },
  };
  const body = {
    ...pickSampling(request),
    messages,
    stop: request.stop_sequences,
    ...isBegun && { continue_final_message: true },
    ...tools.length > 0 && {
      tools: tools.map(({ name, description, input_schema, strict }) => ({
        type: "function",
        function: { name, description, parameters: input_schema, strict },
      })),
      tool_choice: choice && toolChoice(choice),
      parallel_tool_calls: choice?.disable_parallel_tool_use ? false : undefined,
    },
    response_format: responseFormat(output?.format),
    chat_template_kwargs: kwargs,
    thinking_token_budget: thinking?.type === "enabled" ? thinking.budget_tokens : undefined,
  };
  return {
    request: validate(chatRequest, body, messagesField),
    members: {
      value(name) {
        if (name === "chat_template_kwargs") return new Map<string, JsonValue>(Object.entries(kwargs));
        if (name !== "tools") return members.value(name);
        return (members.value(name) as JsonObject[])
          .filter((tool) => isOwnTool({ type: tool.get("type") as string | undefined }))
          .map((tool) =>
            new Map<string, JsonValue>([["type", "function"], [
              "function",
              new Map(
                [["name", "name"], ["description", "description"], ["input_schema", "parameters"]]
                  .filter(([field]) => tool.has(field)).map(([field, name]) => [name, tool.get(field)!]),
              ),
            ]])
          );
      },
    },
  };
}

function isOwnTool({ type }: { readonly type?: string | null }): boolean {
  return type === undefined || type === null || type === "custom";
}

function toolChoice({ type, name }: NonNullable<MessagesRequest["tool_choice"]>) {
  switch (type) {
    case "any":
      return "required";
    case "tool":
      return { type: "function", function: { name } };
    default:
      return type;
  }
}

function responseFormat(format: { readonly [field: string]: unknown } | null | undefined): unknown {
  return format && { type: "json_schema", json_schema: { name: "output", schema: format.schema, strict: true } };
}

/**
 * Claude Code begins its system text with a line that differs with every request, by a checksum of it. A prompt that begins
 * so begins like no other, and none of its prefix is ever found in the cache.
 */
function withoutBillingHeader(system: TextContent): string {
  const texts = typeof system === "string" ? [system] : system.map(({ text }) => text);
  return texts.map((text) => text.replace(/^x-anthropic-billing-header:[^\n]*\n*/, "")).filter(Boolean).join("\n");
}

function toMessages(request: MessagesRequest, members: TemplateMembers): MessageField[] {
  // Only calls have numbers whose spelling could be lost.
  const hasCalls = request.messages.some(({ content }) => content.some(({ type }) => type === "tool_use"));
  const lossless = hasCalls ? members.value("messages") as JsonObject[] : [];
  return request.messages.flatMap(({ role, content }, at) => {
    const inputOf = (block: number) => jsonText((lossless[at].get("content") as JsonObject[])[block].get("input")!);
    return role === "assistant" ? [assistantMessage(content, inputOf)] : otherMessages(role, content);
  });
}

function assistantMessage(blocks: readonly Block[], inputOf: (block: number) => string): MessageField {
  const texts = blocks.flatMap((block) => block.type === "text" ? [block.text] : []);
  const thoughts = blocks.flatMap((block) => block.type === "thinking" ? [block.thinking] : []);
  const calls = blocks.flatMap((block, at) =>
    block.type === "tool_use"
      ? [{ id: block.id, type: "function", function: { name: block.name, arguments: inputOf(at) } }]
      : []
  );
  return {
    role: "assistant",
    content: texts.length > 0 ? texts.join("\n") : null,
    ...thoughts.length > 0 && { reasoning_content: thoughts.join("\n") },
    ...calls.length > 0 && { tool_calls: calls },
  };
}

/** Results of tools are messages of their own; texts between them stay where they are. */
function otherMessages(role: "user" | "system", blocks: readonly Block[]): MessageField[] {
  const messages: { role: MessageField["role"]; content: string; [field: string]: unknown }[] = [];
  for (const block of blocks) {
    if (block.type === "tool_result") {
      const { tool_use_id, content, is_error } = block;
      messages.push({
        role: "tool",
        tool_call_id: tool_use_id,
        content: textOf(content ?? ""),
        ...is_error === true && { is_error },
      });
    } else if (block.type === "text") {
      const last = messages.at(-1);
      if (last?.role === role) last.content += `\n${block.text}`;
      else messages.push({ role, content: block.text });
    } else {
      throw new HttpError(
        400,
        `A message of the role ${role} holds a block of type ${block.type}; expected text or tool_result`,
        {
          param: "messages",
        },
      );
    }
  }
  return messages;
}

function textOf(content: TextContent): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}
