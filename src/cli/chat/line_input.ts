/**
 * @file Lines from standard input, and Ctrl-C. On a terminal they are edited by node:readline, with a history; from a pipe or
 * a file they are taken as they come, without a prompt.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/** Where what is said comes from. */
export interface LineInput {
  /** Shows the prompt and waits for a line; null at the end. */
  next(): Promise<string | null>;
  /** Called with every Ctrl-C, or signal, while an answer is written; at the prompt it is dealt with here. */
  onInterrupt: (() => void) | undefined;
  /** Width of the terminal in characters. */
  columns(): number;
  close(): void;
}

const PROMPT = "> ";
/** Where a terminal does not tell its width. */
const USUAL_COLUMNS = 80;

/** Standard input as lines. Make it when the first line is wanted: earlier ones wait outside. */
export function standardInput(): LineInput {
  const isTerminal = Deno.stdin.isTerminal();
  const screen = Deno.stderr.isTerminal() || !Deno.stdout.isTerminal() ? process.stderr : process.stdout;
  const columns = () => screen.columns || USUAL_COLUMNS;
  /** While an answer is written, keys that are struck must not be drawn into it. */
  let isAsking = false;
  const drawn = new Writable({
    write(chunk, _, done) {
      if (isAsking) screen.write(chunk);
      done();
    },
  });
  Object.defineProperty(drawn, "columns", { get: columns });
  const lines = createInterface({
    input: process.stdin,
    output: isTerminal ? drawn : undefined,
    terminal: isTerminal && Deno.env.get("TERM") !== "dumb",
    prompt: PROMPT,
    historySize: 1000,
    crlfDelay: Infinity,
  });

  const waiting: string[] = [];
  let taker: ((line: string | null) => void) | undefined;
  let isClosed = false;
  let wasInterrupted = false;
  const give = (line: string | null) => {
    taker?.(line);
    taker = undefined;
  };
  lines.on("line", (line) => {
    if (taker) give(line);
    else waiting.push(line);
  });
  lines.on("close", () => {
    isClosed = true;
    give(null);
  });

  const input: LineInput = {
    onInterrupt: undefined,
    columns,
    async next() {
      const line = waiting.shift();
      if (line !== undefined) return line;
      if (isClosed) return null;
      const { promise, resolve } = Promise.withResolvers<string | null>();
      taker = resolve;
      isAsking = true;
      // What was struck during the answer is there already.
      if (isTerminal) lines.prompt(true);
      const taken = await promise;
      isAsking = false;
      if (taken !== null) wasInterrupted = false;
      return taken;
    },
    close() {
      Deno.removeSignalListener("SIGINT", interrupt);
      lines.close();
    },
  };
  const interrupt = () => {
    if (input.onInterrupt) return input.onInterrupt();
    // The first one gives up the line.
    if (!isTerminal || (wasInterrupted && lines.line === "")) return lines.close();
    wasInterrupted = true;
    screen.write("\nCtrl-C once more, or Ctrl-D, ends the chat\n");
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    lines.prompt();
  };
  // In raw mode Ctrl-C is a key; from elsewhere, or without a terminal, it is a signal.
  lines.on("SIGINT", interrupt);
  Deno.addSignalListener("SIGINT", interrupt);
  return input;
}
