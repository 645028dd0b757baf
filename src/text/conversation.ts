/** @file Conversations, as they are handed to a chat template, and what comes of them. */

import type { MessageRange } from "../contract/generation.ts";
import type { EncodeOptions } from "./tokenizer.ts";

/**
 * One message, in the form of OpenAI's API, with every field that the client sent: templates read many
 * (`reasoning_content`, `name`, `tool_call_id`, ...). Fields that are null count as absent, but for `content`.
 */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | null | readonly { readonly type: string; readonly text?: string }[];
  readonly tool_calls?: readonly unknown[] | null;
  readonly [field: string]: unknown;
}

/** What is to be rendered. Values of JSON may be plain or come from `parseJson`, which keeps numbers as they were sent. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Tool definitions, in the form of OpenAI's API. */
  readonly tools?: readonly unknown[];
  /** End with the beginning of the assistant's answer. Default: true. */
  readonly addGenerationPrompt?: boolean;
  /** End within the last message, which the model goes on with. Default: false. */
  readonly continueFinalMessage?: boolean;
  /** Further variables of the template, such as `enable_thinking`, `reasoning_effort` or `documents`. */
  readonly kwargs?: Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;
}

/** The conversation cannot be rendered; the message says why, and in which line of the template. */
export class ChatTemplateError extends Error {
  override name = "ChatTemplateError";

  /** @param fault `template` where no other conversation would fare better */
  constructor(message: string, readonly fault: "conversation" | "template" = "conversation", options?: ErrorOptions) {
    super(message, options);
  }
}

/**
 * A prompt, and which parts of it came from the client. Encode `text` with `encoding`: the template's own tokens are tokens
 * then, and what the messages spell is text.
 */
export interface RenderedPrompt {
  readonly text: string;
  readonly encoding: EncodeOptions;
  /** Where the messages are, in UTF-16 units of the text. */
  readonly messages: readonly MessageRange[];
}
