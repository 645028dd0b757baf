/** @file Turns a conversation into the one text that a model continues, by the template in its files. */

import { join } from "node:path";
import { readJsonObject } from "../formats/json_object.ts";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import type { Conversation, RenderedPrompt } from "./conversation.ts";
import { type ConversationOptions, ConversationTemplate } from "./conversation_template.ts";
import type { Tokenizer } from "./tokenizer.ts";

export { type ChatMessage, ChatTemplateError, type Conversation, type RenderedPrompt } from "./conversation.ts";

/** How a model wants conversations to be written. */
export interface ChatTemplate {
  /** The Jinja source. */
  readonly source: string;
  /** That of conversations with tools, if it is another. */
  readonly toolUseSource?: string;
  /** Texts that show that the answer is over where the model has no token for it; empty for templates of its own. */
  readonly stopStrings: readonly string[];
  /**
   * The text of the conversation. `encode` adds no second begin token to one that the template wrote.
   *
   * @throws {ChatTemplateError} when the template refuses the messages or leaves out tool calls, or they hold anything but text
   */
  render(conversation: Conversation): RenderedPrompt;
}

/** ChatML, as llama.cpp assumes it for models that know its tokens. */
const CHATML = `{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** A transcript in plain words, for base models, which were never taught a chat format. */
const TRANSCRIPT = `{% for message in messages %}
{%- if message.role == 'system' %}{{ message.content or '' }}

{% else %}{{ message.role | capitalize }}: {{ message.content or '' }}
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}Assistant:{% endif %}`;
const TRANSCRIPT_STOPS = ["\nUser:", "\nSystem:"];

/** The templates in a model's files: the ordinary one, and possibly one for conversations with tools. */
export interface TemplateSources {
  readonly ordinary?: string;
  readonly toolUse?: string;
}

/**
 * The chat template of a model: GGUF's `tokenizer.chat_template`, or `chat_template.jinja` or
 * `tokenizer_config.json` of a directory. A model without one, or with an empty one, gets ChatML if its vocabulary has
 * `<|im_start|>` and `<|im_end|>`, and else a plain transcript ("User: ...", "Assistant:").
 *
 * @throws {ModelFileError} when the template is not valid Jinja
 */
export async function loadChatTemplate(
  file: ModelFile,
  tokenizer: Tokenizer,
  options: ConversationOptions = {},
): Promise<ChatTemplate> {
  const sources = await readTemplateSources(file);
  const knowsChatml = tokenizer.idOf("<|im_start|>") !== undefined && tokenizer.idOf("<|im_end|>") !== undefined;
  const source = sources.ordinary ?? (knowsChatml ? CHATML : TRANSCRIPT);
  const ordinary = new ConversationTemplate(source, tokenizer, options);
  const toolUse = sources.toolUse === undefined
    ? ordinary
    : new ConversationTemplate(sources.toolUse, tokenizer, options);
  return {
    source,
    toolUseSource: sources.toolUse,
    stopStrings: source === TRANSCRIPT ? TRANSCRIPT_STOPS : [],
    render: (conversation) => (conversation.tools?.length ? toolUse : ordinary).render(conversation),
  };
}

/** @throws {ModelFileError} when a template is no text */
export async function readTemplateSources(file: ModelFile): Promise<TemplateSources> {
  return file.format === "gguf" ? ggufSources(file) : await directorySources(file.path);
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

/** A template that is empty is none: it would drop the whole conversation. */
function templateText(value: unknown, field: string): string | undefined {
  if (value == null || typeof value === "string") return value?.trim() ? value : undefined;
  throw new ModelFileError(`${field} is a ${typeof value}: expected a text`);
}

async function readTextIfPresent(path: string): Promise<string | undefined> {
  try {
    return templateText(await Deno.readTextFile(path), path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
