/**
 * @file What a reply becomes in the Responses API: items, and the typed events that tell how they grow.
 *
 *     response.created, response.in_progress
 *       for each item: response.output_item.added ... deltas ... response.output_item.done
 *     response.completed | response.incomplete | response.failed
 */
import type { ToolCallDelta } from "../generation/answer_deltas.ts";
import type { ChatDelta } from "../generation/chat.ts";
import type { Usage } from "../generation/outcome.ts";
import type { HttpError } from "../errors.ts";

/** An event; further fields go by its type. */
export interface ResponseEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly [field: string]: unknown;
}

type Status = "in_progress" | "completed" | "incomplete";

interface Part {
  readonly type: string;
  text: string;
  readonly annotations?: [];
  readonly logprobs?: unknown[];
}

interface Item {
  readonly id: string;
  readonly type: "message" | "reasoning" | "function_call";
  status: Status;
  content?: Part[];
  arguments?: string;
  readonly [field: string]: unknown;
}

/** The item that grows: where its text is, and what its events are called. */
interface OpenItem {
  readonly item: Item;
  readonly part: Part | null;
  readonly event: "output_text" | "reasoning_text" | "function_call_arguments";
  /** Counts the calls of one reply. */
  readonly call?: number;
}

/** A response as far as it has come, and the events that lead there. */
export class ResponseEvents {
  #sequence = 0;
  readonly #items: Item[] = [];
  #open: OpenItem | null = null;
  #status: Status | "failed" = "in_progress";
  #rest: object = { error: null, incomplete_details: null, usage: null };

  /**
   * @param head the fields of the response that do not change
   * @param logprobOf an entry of `logprobs`, if they were asked for
   */
  constructor(
    readonly head: { readonly id: string; readonly [field: string]: unknown },
    readonly logprobOf?: (token: ChatDelta["tokens"][number]) => unknown,
  ) {}

  get response(): object {
    return { ...this.head, status: this.#status, output: this.#items, ...this.#rest };
  }

  *start(): Generator<ResponseEvent, void> {
    for (const type of ["response.created", "response.in_progress"]) yield this.#event(type, this.#snapshot());
  }

  *push({ delta, tokens }: ChatDelta): Generator<ResponseEvent, void> {
    if (delta.reasoning_content) {
      if (this.#open?.item.type !== "reasoning") yield* this.#openReasoning();
      yield this.#grow(delta.reasoning_content);
    }
    if (delta.content || (delta.content === "" && this.#open?.item.type === "message")) {
      if (this.#open?.item.type !== "message") yield* this.#openMessage();
      const logprobs = this.logprobOf ? tokens.map(this.logprobOf) : [];
      this.#open!.part!.logprobs!.push(...logprobs);
      yield this.#grow(delta.content, { logprobs });
    }
    for (const call of delta.tool_calls ?? []) {
      if (this.#open?.call !== call.index) yield* this.#openCall(call);
      if (call.function.arguments) yield this.#grow(call.function.arguments);
    }
  }

  /** @param usage what the run came to; known at its end */
  *finish(reason: ChatDelta["finishReason"], usage: Usage): Generator<ResponseEvent, void> {
    const isCut = reason === "length";
    yield* this.#close(isCut ? "incomplete" : "completed");
    this.#status = isCut ? "incomplete" : "completed";
    this.#rest = {
      error: null,
      incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
      usage: responseUsage(usage),
    };
    yield this.#event(isCut ? "response.incomplete" : "response.completed", this.#snapshot());
  }

  /** What was begun stays unfinished. */
  fail({ message, code, status }: HttpError): ResponseEvent {
    this.#status = "failed";
    this.#rest = { error: { code: code ?? String(status), message }, incomplete_details: null, usage: null };
    return this.#event("response.failed", this.#snapshot());
  }

  *#openMessage(): Generator<ResponseEvent, void> {
    const part: Part = { type: "output_text", text: "", annotations: [], logprobs: [] };
    yield* this.#add({ ...this.#newItem("msg", "message"), role: "assistant", content: [] }, part, "output_text");
  }

  *#openReasoning(): Generator<ResponseEvent, void> {
    const part: Part = { type: "reasoning_text", text: "" };
    yield* this.#add({ ...this.#newItem("rs", "reasoning"), summary: [], content: [] }, part, "reasoning_text");
  }

  *#openCall({ index, id, function: { name } }: ToolCallDelta): Generator<ResponseEvent, void> {
    const item: Item = { ...this.#newItem("fc", "function_call"), call_id: id, name, arguments: "" };
    yield* this.#add(item, null, "function_call_arguments", index);
  }

  #newItem<Type extends Item["type"]>(prefix: string, type: Type) {
    const id = `${prefix}_${this.head.id.replace(/^resp_/, "")}_${this.#items.length}`;
    return { id, type, status: "in_progress" as Status };
  }

  *#add(item: Item, part: Part | null, event: OpenItem["event"], call?: number): Generator<ResponseEvent, void> {
    yield* this.#close("completed");
    this.#items.push(item);
    this.#open = { item, part, event, call };
    yield this.#event("response.output_item.added", {
      output_index: this.#items.length - 1,
      item: structuredClone(item),
    });
    if (part === null) return;
    item.content!.push(part);
    yield this.#event("response.content_part.added", { ...this.#place(), part: structuredClone(part) });
  }

  /** Lengthens the open item. */
  #grow(delta: string, more: object = {}): ResponseEvent {
    const { item, part, event } = this.#open!;
    if (part) part.text += delta;
    else item.arguments += delta;
    return this.#event(`response.${event}.delta`, { ...this.#place(), delta, ...more });
  }

  *#close(status: Status): Generator<ResponseEvent, void> {
    if (this.#open === null) return;
    const { item, part, event } = this.#open;
    const place = this.#place();
    item.status = status;
    if (part) {
      const { text, logprobs } = part;
      yield this.#event(`response.${event}.done`, { ...place, text, ...logprobs && { logprobs: [...logprobs] } });
      yield this.#event("response.content_part.done", { ...place, part: structuredClone(part) });
    } else {
      yield this.#event(`response.${event}.done`, { ...place, name: item.name, arguments: item.arguments });
    }
    yield this.#event("response.output_item.done", {
      output_index: this.#items.length - 1,
      item: structuredClone(item),
    });
    this.#open = null;
  }

  #place() {
    const { item, part } = this.#open!;
    return { item_id: item.id, output_index: this.#items.length - 1, ...part && { content_index: 0 } };
  }

  #snapshot() {
    return { response: structuredClone(this.response) };
  }

  #event(type: string, fields: object): ResponseEvent {
    return { type, sequence_number: this.#sequence++, ...fields };
  }
}

function responseUsage({ prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details, kv_cache }: Usage) {
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: { cached_tokens: prompt_tokens_details.cached_tokens, cache_write_tokens: 0 },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
    kv_cache,
  };
}
