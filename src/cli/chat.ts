/** @file `main.ts chat`: a conversation on the terminal. Answers go to standard output, everything else to standard error. */
import { APIError } from "openai";
import { createApp } from "../routes/app.ts";
import { type Chat, runCommand } from "./chat/commands.ts";
import { type AnswerReport, Conversation } from "./chat/conversation.ts";
import { type LineInput, standardInput } from "./chat/line_input.ts";
import { describePace } from "./describe_pace.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { ChatOptions } from "./flags/serving.ts";
import { printText } from "./standard_output.ts";
import { startForOne } from "./start_for_one.ts";

/** Where a conversation is shown. */
export interface ChatOutput {
  /** Receives answers, piece by piece. */
  text(piece: string): void;
  /** Receives lines for people. */
  note(line: string): void;
  /** Receives what a model thinks, piece by piece. */
  thought(piece: string): void;
}

/** Talks until the input ends. */
export async function chat(options: ChatOptions): Promise<number> {
  const { engine, text, chatTemplate, policies, close } = await startForOne(options);
  try {
    const app = createApp({ engine, text, chatTemplate, options: { policies } });
    const conversation = new Conversation(app, options.system, options);
    console.error(`${engine.model.id} on ${engine.device}; /help lists commands, Ctrl-D ends`);
    const input = standardInput();
    try {
      const talk = { conversation, policies, defaults: engine.defaultKvCache, columns: input.columns };
      const wentWell = await converse(talk, input, terminal);
      return (wentWell ? EXIT_CODES.ok : EXIT_CODES.failure).code;
    } finally {
      input.close();
    }
  } finally {
    await close();
  }
}

/** Answers line after line. Returns whether every message got an answer. */
export async function converse(talk: Chat, input: LineInput, output: ChatOutput): Promise<boolean> {
  let wentWell = true;
  for (let line = await input.next(); line !== null; line = await input.next()) {
    const reply = runCommand(line, talk);
    if (reply !== undefined) reply.forEach(output.note);
    else if (line.trim() !== "") wentWell = await answer(talk, line, input, output) && wentWell;
  }
  return wentWell;
}

async function answer({ conversation }: Chat, line: string, input: LineInput, output: ChatOutput): Promise<boolean> {
  const interrupt = new AbortController();
  input.onInterrupt = () => interrupt.abort();
  let isThinking = false;
  let isLineOpen = false;
  const endLine = () => {
    if (isThinking) output.thought("\n");
    else if (isLineOpen) output.text("\n");
    isThinking = isLineOpen = false;
  };
  try {
    for await (const { kind, text } of conversation.say(line, interrupt.signal)) {
      if (isThinking && kind === "content") endLine();
      if (kind === "thought") output.thought(text);
      else output.text(text);
      isThinking = kind === "thought";
      isLineOpen = true;
    }
    endLine();
    if (interrupt.signal.aborted) output.note("(interrupted)");
    else if (conversation.last) {
      const { notes = [], fallback } = conversation.last.usage.kv_cache ?? {};
      notes.forEach(output.note);
      if (fallback !== undefined) output.note(`The policy failed, and uniform budgets took its place: ${fallback}`);
      output.note(describeAnswer(conversation.last));
    }
    return true;
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    endLine();
    output.note(error.message);
    return false;
  } finally {
    input.onInterrupt = undefined;
  }
}

/** `(readahead kept 82 of 1034 rows per layer; 12 tokens, the first after 0.31 s, then 41.2 tokens/s)` */
function describeAnswer({ usage, pace }: AnswerReport): string {
  const { completion_tokens: tokens, kv_cache: cache } = usage;
  const mean = cache && cache.rows_per_layer.reduce((sum, rows) => sum + rows, 0) / cache.rows_per_layer.length;
  const kept = cache ? `${cache.policy} kept ${Number(mean!.toFixed(1))} of ${cache.prompt_rows} rows per layer; ` : "";
  return `(${kept}${describePace(tokens, pace)})`;
}

const encoder = new TextEncoder();

const terminal: ChatOutput = {
  text: printText,
  note: (line) => console.error(line),
  thought: (piece) => {
    Deno.stderr.writeSync(encoder.encode(piece));
  },
};
