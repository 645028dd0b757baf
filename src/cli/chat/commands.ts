/** @file What a line that begins with a slash does, as data. */
import { UnservableRequestError } from "../../contract/errors.ts";
import { parseKvCacheChoice } from "../../policy/choice.ts";
import type { KvCacheChoice } from "../../contract/generation.ts";
import type { PolicyRegistry } from "../../policy/registry.ts";
import { nearest } from "../../text/nearest.ts";
import { cacheBudget } from "../values.ts";
import type { Conversation } from "./conversation.ts";
import { rowBars } from "./row_bars.ts";

/** What commands look at and change. */
export interface Chat {
  readonly conversation: Conversation;
  readonly policies: PolicyRegistry;
  /** What the flags say of the KV cache. */
  readonly defaults: KvCacheChoice;
  /** Width of the terminal in characters. */
  columns(): number;
}

interface SlashCommand {
  readonly argument: string;
  readonly help: string;
  /** Returns lines for people. */
  readonly run: (argument: string, chat: Chat) => readonly string[];
}

const COMMANDS: Readonly<Record<string, SlashCommand>> = {
  policy: {
    argument: "NAME",
    help: "Compress with another KV cache policy from the next message on; without a name: list them",
    run(name, { conversation, policies, defaults }) {
      const now = conversation.policy ?? defaults.policy;
      if (name === "") return [`Policy: ${now}; others: ${otherNames(policies, now)}`];
      return tried(() => {
        const budget = conversation.budget ?? defaults.budget;
        conversation.policy = parseKvCacheChoice({ policy: name, budget }, defaults, policies).policy;
        return `Policy: ${conversation.policy}`;
      });
    },
  },
  budget: {
    argument: "N|P%",
    help: "Keep so many KV rows per layer, or that share of the prompt, from the next message on",
    run(text, { conversation, defaults }) {
      if (text === "") return [`Budget: ${conversation.budget ?? defaults.budget}`];
      const budget = cacheBudget.parse(text);
      if (budget === undefined) return [`/budget must be ${cacheBudget.expectation}, not ${JSON.stringify(text)}`];
      conversation.budget = budget;
      return [`Budget: ${budget}`];
    },
  },
  rows: {
    argument: "",
    help: "Show the rows that each layer kept of the last prompt",
    run(_, { conversation: { last }, columns }) {
      const cache = last?.usage.kv_cache;
      if (!cache) return ["Nothing has been answered yet"];
      return [
        `Rows kept of ${cache.prompt_rows} by ${cache.policy}:`,
        ...rowBars(cache.rows_per_layer, columns()),
      ];
    },
  },
  clear: {
    argument: "",
    help: "Forget what has been said",
    run(_, { conversation }) {
      conversation.clear();
      return ["Forgotten"];
    },
  },
  help: { argument: "", help: "Show this", run: () => HELP },
};

const HELP: readonly string[] = [
  ...Object.entries(COMMANDS).map(([name, { argument, help }]) => `${`/${name} ${argument}`.padEnd(14)} ${help}`),
  "A line with a space in front is never a command. Ctrl-C ends an answer; Ctrl-D, or Ctrl-C twice, ends the chat.",
];

/** Lines for people, if the line is a command; else undefined, and it is something to say. */
export function runCommand(line: string, chat: Chat): readonly string[] | undefined {
  if (!line.startsWith("/")) return undefined;
  const [, name, argument] = /^\/(\S*)\s*(.*)$/.exec(line.trimEnd())!;
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name].run(argument, chat);
  const near = nearest(name, Object.keys(COMMANDS));
  return [`Unknown command /${name}: ${near ? `did you mean /${near}?` : "/help lists them"}`];
}

function otherNames({ policies }: PolicyRegistry, now: string): string {
  return policies.map(({ name }) => name).filter((name) => name !== now).join(", ");
}

function tried(change: () => string): readonly string[] {
  try {
    return [change()];
  } catch (error) {
    if (error instanceof UnservableRequestError) return [error.message];
    throw error;
  }
}
