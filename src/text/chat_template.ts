/** @file Turns a conversation into the one text that a model continues, by the template in its files. */

import { Template } from "@huggingface/jinja";
import { join } from "node:path";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { readJsonObject } from "../formats/json_object.ts";

/** One message, in the form of OpenAI's API. Further fields (`name`, `tool_call_id`, ...) reach the template as they are. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | null | readonly { readonly type: string; readonly text?: string }[];
  readonly tool_calls?: readonly unknown[];
  readonly [field: string]: unknown;
}

export interface ApplyOptions {
  /** End with the beginning of the assistant's answer. Default: true. */
  readonly addGenerationPrompt?: boolean;
  /** Tool definitions, in the form of OpenAI's API. */
  readonly tools?: readonly unknown[];
  /** Further variables of the template. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/** The conversation cannot be rendered; the message is the template's own where it raised one. */
export class ChatTemplateError extends Error {
  override name = "ChatTemplateError";
}

/** How a model wants conversations to be written. */
export interface ChatTemplate {
  /** The Jinja source. */
  readonly source: string;
  /** Texts that show that the answer is over where the model has no token for it; empty for templates of its own. */
  readonly stopStrings: readonly string[];
  /**
   * The text of the conversation. Encode it with `parseSpecial`; `encode` adds no second begin token to one that the
   * template wrote.
   *
   * @throws {ChatTemplateError} when the template refuses the messages, or they hold anything but text
   */
  apply(messages: readonly ChatMessage[], options?: ApplyOptions): string;
}

/** ChatML, as llama.cpp assumes it for models that know its tokens. */
const CHATML = `{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** A transcript in plain words, for base models, which were never taught a chat format. */
const TRANSCRIPT = `{% for message in messages %}
{%- if message.role == 'system' %}{{ message.content }}

{% else %}{{ message.role | capitalize }}: {{ message.content }}
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}Assistant:{% endif %}`;
const TRANSCRIPT_STOPS = ["\nUser:", "\nSystem:"];

/** The templates of a model: the ordinary one, and possibly one for conversations with tools. */
interface TemplateSources {
  readonly ordinary?: string;
  readonly toolUse?: string;
}

/**
 * The chat template of a model: GGUF's `tokenizer.chat_template`, or `chat_template.jinja` or
 * `tokenizer_config.json` of a directory. A model without one gets ChatML if its vocabulary has `<|im_start|>` and
 * `<|im_end|>`, and else a plain transcript ("User: ...", "Assistant:").
 *
 * @throws {ModelFileError} when the template is not valid Jinja
 */
export async function loadChatTemplate(file: ModelFile, tokenizer: Tokenizer): Promise<ChatTemplate> {
  const sources = file.format === "gguf" ? ggufSources(file) : await directorySources(file.path);
  if (sources.ordinary !== undefined) return jinjaTemplate(tokenizer, sources.ordinary, sources.toolUse);
  const knowsChatml = tokenizer.idOf("<|im_start|>") !== undefined && tokenizer.idOf("<|im_end|>") !== undefined;
  return knowsChatml
    ? jinjaTemplate(tokenizer, CHATML, sources.toolUse)
    : jinjaTemplate(tokenizer, TRANSCRIPT, sources.toolUse, TRANSCRIPT_STOPS);
}

function jinjaTemplate(
  tokenizer: Tokenizer,
  source: string,
  toolUseSource?: string,
  stopStrings: readonly string[] = [],
): ChatTemplate {
  const ordinary = parseTemplate(source);
  const toolUse = toolUseSource === undefined ? ordinary : parseTemplate(toolUseSource);
  const nameOf = (id: number | null | undefined) => id == null ? "" : tokenizer.tokenText(id);
  const constants = { bos_token: nameOf(tokenizer.beginToken), eos_token: nameOf(tokenizer.endTokens[0]) };
  return {
    source,
    stopStrings,
    apply(messages, { addGenerationPrompt = true, tools, kwargs } = {}) {
      const variables = {
        ...constants,
        ...kwargs,
        messages: messages.map(templateMessage),
        add_generation_prompt: addGenerationPrompt,
        ...(tools === undefined ? {} : { tools }),
      };
      try {
        return (tools === undefined ? ordinary : toolUse).render(variables);
      } catch (error) {
        throw new ChatTemplateError((error as Error).message, { cause: error });
      }
    },
  };
}

function parseTemplate(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new ModelFileError(`The model's chat template is not valid Jinja: ${(error as Error).message}`);
  }
}

/** A message as templates expect it: content as one text, arguments of tool calls as objects. */
function templateMessage(message: ChatMessage, index: number): Record<string, unknown> {
  const { content, tool_calls } = message;
  return {
    ...message,
    content: typeof content === "string" ? content : (content ?? []).map((part, i) => {
      if (part.type === "text" && typeof part.text === "string") return part.text;
      throw new ChatTemplateError(
        `messages[${index}].content[${i}] is of type ${JSON.stringify(part.type)}: this model reads text only`,
      );
    }).join("\n"),
    ...(tool_calls === undefined ? {} : { tool_calls: tool_calls.map(templateToolCall) }),
  };
}

// deno-lint-ignore no-explicit-any -- the shape was checked with the request
function templateToolCall(call: any): unknown {
  if (typeof call?.function?.arguments !== "string") return call;
  try {
    return { ...call, function: { ...call.function, arguments: JSON.parse(call.function.arguments) } };
  } catch {
    // A model's earlier answer need not have been JSON: the template then shows it as it was.
    return call;
  }
}

function ggufSources({ metadata }: ModelFile): TemplateSources {
  return {
    ordinary: templateText(metadata["tokenizer.chat_template"], "tokenizer.chat_template"),
    toolUse: templateText(metadata["tokenizer.chat_template.tool_use"], "tokenizer.chat_template.tool_use"),
  };
}

async function directorySources(directory: string): Promise<TemplateSources> {
  const path = join(directory, "tokenizer_config.json");
  const configured = (await readJsonObject(path))?.chat_template;
  const field = `${path} chat_template`;
  const named = (name: string) =>
    templateText(
      (configured as { name?: unknown; template?: unknown }[]).find((t) => t?.name === name)?.template,
      field,
    );
  const sources = Array.isArray(configured)
    ? { ordinary: named("default"), toolUse: named("tool_use") }
    : { ordinary: templateText(configured, field) };
  return { ...sources, ordinary: await readTextIfPresent(join(directory, "chat_template.jinja")) ?? sources.ordinary };
}

function templateText(value: unknown, field: string): string | undefined {
  if (value == null || typeof value === "string") return value ?? undefined;
  throw new ModelFileError(`${field} is a ${typeof value}: expected a text`);
}

async function readTextIfPresent(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
