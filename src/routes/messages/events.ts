/**
 * @file What a reply becomes in Anthropic's Messages API: blocks, and the typed events that tell how they grow.
 *
 *     message_start
 *       for each block: content_block_start, content_block_delta ..., content_block_stop
 *     message_delta, message_stop
 */
import type { ToolCallDelta } from "../generation/answer_deltas.ts";
import type { ChatDelta } from "../generation/chat.ts";
import type { Usage } from "../generation/outcome.ts";

/** An event; further fields go by its type. */
export interface MessageEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Block =
  | { readonly type: "text"; text: string }
  | { readonly type: "thinking"; thinking: string; readonly signature: string }
  | { readonly type: "tool_use"; readonly id?: string; readonly name?: string; input: unknown };

/** The block that grows. */
interface OpenBlock {
  readonly block: Block;
  /** Counts the calls of one reply. */
  readonly call?: number;
  /** The text of a call's input so far. */
  json: string;
}

/** How the reply was limited. */
export interface MessageLimits {
  readonly maxTokens: number;
  readonly stopSequences: readonly string[];
}

/** A message as far as it has come, and the events that lead there. */
export class MessageEvents {
  readonly #blocks: Block[] = [];
  #open: OpenBlock | null = null;
  #end: { stop_reason: string | null; stop_sequence: string | null } = { stop_reason: null, stop_sequence: null };
  #usage: object = {};

  constructor(readonly head: { readonly id: string; readonly model: string }, readonly limits: MessageLimits) {}

  get message(): object {
    const { id, model } = this.head;
    return { id, type: "message", role: "assistant", model, content: this.#blocks, ...this.#end, usage: this.#usage };
  }

  *start(usage: Usage): Generator<MessageEvent, void> {
    this.#usage = messageUsage(usage);
    yield { type: "message_start", message: structuredClone(this.message) };
  }

  *push({ delta }: ChatDelta): Generator<MessageEvent, void> {
    if (delta.reasoning_content) {
      if (this.#open?.block.type !== "thinking") yield* this.#add({ type: "thinking", thinking: "", signature: "" });
      yield this.#grow("thinking", delta.reasoning_content);
    }
    if (delta.content) {
      if (this.#open?.block.type !== "text") yield* this.#add({ type: "text", text: "" });
      yield this.#grow("text", delta.content);
    }
    for (const call of delta.tool_calls ?? []) {
      if (this.#open?.call !== call.index) yield* this.#addCall(call);
      if (call.function.arguments) yield this.#grow("input", call.function.arguments);
    }
  }

  *finish({ finishReason, stopString }: ChatDelta, usage: Usage): Generator<MessageEvent, void> {
    yield* this.#close();
    const isOwnStop = stopString !== null && this.limits.stopSequences.includes(stopString);
    this.#end = {
      stop_reason: finishReason === "tool_calls"
        ? "tool_use"
        : finishReason === "length"
        ? usage.completion_tokens < this.limits.maxTokens ? "model_context_window_exceeded" : "max_tokens"
        : isOwnStop
        ? "stop_sequence"
        : "end_turn",
      stop_sequence: isOwnStop ? stopString : null,
    };
    this.#usage = messageUsage(usage);
    yield { type: "message_delta", delta: this.#end, usage: this.#usage };
    yield { type: "message_stop" };
  }

  *#addCall({ index, id, function: { name } }: ToolCallDelta): Generator<MessageEvent, void> {
    yield* this.#add({ type: "tool_use", id, name, input: {} }, index);
  }

  *#add(block: Block, call?: number): Generator<MessageEvent, void> {
    yield* this.#close();
    this.#blocks.push(block);
    this.#open = { block, call, json: "" };
    yield { type: "content_block_start", index: this.#blocks.length - 1, content_block: { ...block } };
  }

  #grow(field: "text" | "thinking" | "input", piece: string): MessageEvent {
    const open = this.#open!;
    const { block } = open;
    if (block.type === "text") block.text += piece;
    else if (block.type === "thinking") block.thinking += piece;
    else open.json += piece;
    const delta = field === "input"
      ? { type: "input_json_delta", partial_json: piece }
      : { type: `${field}_delta`, [field]: piece };
    return { type: "content_block_delta", index: this.#blocks.length - 1, delta };
  }

  *#close(): Generator<MessageEvent, void> {
    if (this.#open === null) return;
    const { block, json } = this.#open;
    if (block.type === "tool_use") block.input = inputOf(json);
    this.#open = null;
    yield { type: "content_block_stop", index: this.#blocks.length - 1 };
  }
}

function inputOf(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // A limit has cut it; the stop reason says so.
    return {};
  }
}

/** Anthropic counts what was found in the cache apart. */
function messageUsage({ prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens }, kv_cache }: Usage) {
  return {
    input_tokens: prompt_tokens - cached_tokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached_tokens,
    output_tokens: completion_tokens,
    kv_cache,
  };
}
