/** @file One Jinja template of a model, with everything around it that makes it a prompt of the conversation as it was sent. */

import { ModelFileError } from "../formats/model_file.ts";
import { type ChatMessage, ChatTemplateError, type Conversation, type RenderedPrompt } from "./conversation.ts";
import { TemplateLimitError } from "./jinja/budget.ts";
import { fromJson } from "./jinja/from_json.ts";
import { JinjaTemplate, type LocatedError } from "./jinja/interpreter.ts";
import type { TemplateText } from "./jinja/template_text.ts";
import { text, type Value } from "./jinja/values.ts";
import { messageTexts } from "./message_ranges.ts";
import { parseJson } from "./json_text.ts";
import { PROBE_TOOL, TemplateForms } from "./template_forms.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface ConversationOptions {
  /** Read what messages spell, such as `<|im_end|>`, as special tokens, too. Default: false. */
  readonly specialTokensInMessages?: boolean;
}

export class ConversationTemplate {
  readonly #template: JinjaTemplate;
  readonly #constants: readonly [string, Value][];
  readonly #forms: TemplateForms;
  readonly #isTrusting: boolean;
  /** Tokens that the template writes itself, such as `<tool_call>`. */
  readonly #ownTokens: readonly number[];

  /** @throws {ModelFileError} when the source is not valid Jinja */
  constructor(source: string, tokenizer: Tokenizer, { specialTokensInMessages = false }: ConversationOptions) {
    try {
      this.#template = new JinjaTemplate(source);
    } catch (error) {
      throw new ModelFileError(`The model's chat template is not valid Jinja: ${(error as Error).message}`);
    }
    const nameOf = (id: number | null | undefined) => text(id == null ? "" : tokenizer.tokenText(id));
    this.#constants = [
      ["bos_token", nameOf(tokenizer.beginToken)],
      ["eos_token", nameOf(tokenizer.endTokens[0])],
      ["tools", null],
      ["documents", null],
    ];
    this.#isTrusting = specialTokensInMessages;
    this.#ownTokens = tokenizer.addedTokens.filter((id) => {
      if (tokenizer.isSpecial(id)) return false;
      const written = tokenizer.tokenText(id);
      // Runs of white space are tokens in some vocabularies, and ordinary text everywhere.
      return written.trim() !== "" && source.includes(written);
    });
    this.#forms = new TemplateForms((messages) => {
      try {
        return this.#run(fromJson(messages), [["tools", fromJson([PROBE_TOOL])], ["add_generation_prompt", false]])
          .value;
      } catch {
        return undefined;
      }
    });
  }

  /** @throws {ChatTemplateError} as {@linkcode ChatTemplate.render} */
  render(conversation: Conversation): RenderedPrompt {
    const { tools, kwargs = {} } = conversation;
    // To go on with an empty message is to begin one.
    const begun = conversation.continueFinalMessage && !isBlank(conversation.messages.at(-1)?.content);
    const isEmpty = conversation.continueFinalMessage && !begun;
    const messages = isEmpty ? conversation.messages.slice(0, -1) : conversation.messages;
    const { addGenerationPrompt = !begun } = conversation;
    const variables: [string, Value][] = [
      ["tools", tools?.length ? fromJson(tools) : null],
      ["add_generation_prompt", addGenerationPrompt],
      ...[...kwargs instanceof Map ? kwargs : Object.entries(kwargs)].map(([name, value]) => {
        return [name, fromJson(value)] as [string, Value];
      }),
    ];
    try {
      const rendered = this.#runWithCalls(messages, variables);
      const prompt = begun ? endWithin(rendered, messages.at(-1)!) : rendered;
      return {
        text: prompt.value,
        messages: messageTexts(messages, prompt),
        encoding: this.#isTrusting ? {} : { plainRanges: prompt.marks, plainTokens: this.#ownTokens },
      };
    } catch (error) {
      throw error instanceof RangeError ? new ChatTemplateError("The messages nest too deeply", "conversation") : error;
    }
  }

  /** Renders the conversation, and makes sure that no tool call is left out. */
  #runWithCalls(messages: readonly ChatMessage[], variables: [string, Value][]): TemplateText {
    const attempt = (sent: readonly ChatMessage[]) => {
      const lost = this.#messageWithLostCall(sent, variables);
      return { lost, run: () => this.#checkedRun(this.#templateMessages(sent), variables) };
    };
    const first = attempt(messages);
    if (first.lost === undefined) return first.run();
    // Some templates look for calls in messages without content only.
    const second = attempt(
      messages.map((message) =>
        message.tool_calls?.length && isBlank(message.content) ? { ...message, content: null } : message
      ),
    );
    if (second.lost === undefined) return second.run();
    throw new ChatTemplateError(
      `The model's chat template leaves the tool calls of messages[${second.lost}] out of the prompt: send a conversation ` +
        "without them, or their results as ordinary messages",
    );
  }

  /** The first message whose calls do not show in the prompt: other names must make another prompt. */
  #messageWithLostCall(messages: readonly ChatMessage[], variables: [string, Value][]): number | undefined {
    const marks: { index: number; name: string }[] = [];
    const renamed = messages.map((message, index): ChatMessage => {
      if (!message.tool_calls?.length) return message;
      // deno-lint-ignore no-explicit-any -- the shape was checked with the request
      const calls = message.tool_calls.map((call: any, i) => {
        if (typeof call?.function?.name !== "string") return call;
        const name = `${call.function.name}_ebb${index}_${i}_`;
        marks.push({ index, name });
        return { ...call, function: { ...call.function, name } };
      });
      return { ...message, tool_calls: calls };
    });
    if (marks.length === 0) return undefined;
    let prompt: string;
    try {
      prompt = this.#run(this.#templateMessages(renamed), variables).value;
    } catch {
      // What is wrong with the conversation shows when it is rendered as it is.
      return undefined;
    }
    return marks.find(({ name }) => !prompt.includes(name))?.index;
  }

  #checkedRun(messages: Value, variables: [string, Value][]): TemplateText {
    try {
      return this.#run(messages, variables);
    } catch (error) {
      const { message, line } = error as LocatedError;
      throw new ChatTemplateError(
        `The model's chat template failed: ${message}${line === undefined ? "" : ` (line ${line} of the template)`}`,
        error instanceof TemplateLimitError ? "template" : "conversation",
        { cause: error },
      );
    }
  }

  #run(messages: Value, variables: readonly [string, Value][]): TemplateText {
    return this.#template.render([...this.#constants, ...variables, ["messages", messages]]);
  }

  #templateMessages(messages: readonly ChatMessage[]): Value {
    return fromJson(messages.map((message, index) => this.#templateMessage(message, index)));
  }

  /** A message in the forms that the template expects. */
  #templateMessage(message: ChatMessage, index: number): Record<string, unknown> {
    const fields = Object.entries(message).filter(([name, value]) => name === "content" || value !== null);
    const sent: Record<string, unknown> = Object.fromEntries(fields);
    if (Array.isArray(message.content)) {
      const texts = textParts(message.content, index);
      if (!this.#forms.takesParts(message.role)) sent.content = texts.join("\n");
    }
    if (Array.isArray(message.tool_calls)) sent.tool_calls = message.tool_calls.map((call) => this.#templateCall(call));
    return sent;
  }

  // deno-lint-ignore no-explicit-any -- the shape was checked with the request
  #templateCall(call: any): unknown {
    const written = call?.function?.arguments;
    if (typeof written !== "string") return call;
    return { ...call, function: { ...call.function, arguments: this.#templateArguments(written) } };
  }

  #templateArguments(written: string): unknown {
    const source = written.trim() === "" ? "{}" : written;
    if (!this.#forms.argumentsAsObject) return source;
    try {
      return parseJson(source);
    } catch {
      // A model's earlier answer need not have been JSON: the template then shows it as it was.
      return source;
    }
  }
}

function isBlank(content: unknown): boolean {
  return content === undefined || content === null || (typeof content === "string" && content.trim() === "");
}

function textParts(parts: readonly { readonly type: string; readonly text?: string }[], index: number): string[] {
  return parts.map((part, i) => {
    if (part.type === "text" && typeof part.text === "string") return part.text;
    throw new ChatTemplateError(
      `messages[${index}].content[${i}] is of type ${JSON.stringify(part.type)}: this model reads text only`,
    );
  });
}

/** Cut behind the content of the last message, which templates follow with an end of turn; as transformers does it. */
function endWithin(prompt: TemplateText, { content }: ChatMessage): TemplateText {
  const written = Array.isArray(content) ? content.map(({ text }) => text).join("\n") : content as string ?? "";
  const start = prompt.value.lastIndexOf(written.trim());
  if (start < 0) {
    throw new ChatTemplateError(
      "The last message cannot be continued: the model's chat template does not put its content into the prompt unchanged",
    );
  }
  const toEnd = written.trimStart();
  return prompt.slice(0, start + (prompt.value.startsWith(toEnd, start) ? toEnd : written.trim()).length);
}
