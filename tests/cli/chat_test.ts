import assert from "node:assert/strict";
import { converse } from "../../src/cli/chat.ts";
import { Conversation, type DrawingOptions } from "../../src/cli/chat/conversation.ts";
import type { LineInput } from "../../src/cli/chat/line_input.ts";
import { startApp } from "../routes/harness.ts";
import { runMainOn } from "../support/server.ts";
import type { FakeEngine, FakeEngineOptions } from "../support/fake_engine.ts";
import { byteTokens, fakeText, TOKEN } from "../support/fake_text.ts";
import { registry } from "../support/policies.ts";

const NO_OPTIONS = {} as DrawingOptions;
const says = (text: string) => ({ tokens: [...byteTokens(text), TOKEN.end] });

/** Says line after line, and returns what was shown. `onText` is called with each piece of an answer. */
async function talk(
  behaviour: FakeEngineOptions,
  lines: readonly string[],
  { system, options = NO_OPTIONS, onText = () => {} }: {
    system?: string;
    options?: DrawingOptions;
    onText?: (input: LineInput, engine: FakeEngine) => void;
  } = {},
) {
  const { app, engine } = startApp(behaviour);
  const left = [...lines];
  const input: LineInput = {
    onInterrupt: undefined,
    columns: () => 40,
    next: () => Promise.resolve(left.shift() ?? null),
    close: () => {},
  };
  const shown = { text: "", thoughts: "", notes: [] as string[] };
  const conversation = new Conversation(app, system, options);
  const chat = { conversation, policies: registry, defaults: engine.defaultKvCache, columns: input.columns };
  const wentWell = await converse(chat, input, {
    text(piece) {
      shown.text += piece;
      onText(input, engine);
    },
    note: (line) => shown.notes.push(line),
    thought: (piece) => shown.thoughts += piece,
  });
  const prompts = engine.requests.map(({ prompt }) => fakeText.tokenizer.decode(prompt));
  return { ...shown, wentWell, prompts, requests: engine.requests };
}

Deno.test("Each message is asked with the system's and all that was said before it", async () => {
  const { text, prompts, wentWell } = await talk({ script: (_, at) => says(at === 0 ? "Hi." : "Fine.") }, [
    "Hello",
    "",
    "How are you?",
  ], { system: "Be brief." });
  assert.equal(text, "Hi.\nFine.\n");
  assert.deepEqual(prompts, [
    "system: Be brief.\nuser: Hello\nassistant:",
    "system: Be brief.\nuser: Hello\nassistant: Hi.\nuser: How are you?\nassistant:",
  ]);
  assert.ok(wentWell);
});

Deno.test("/clear forgets what was said, but not the system message", async () => {
  const { prompts, notes } = await talk({ script: () => says("Hi.") }, ["Hello", "/clear", "/rows", "Again"], {
    system: "Be brief.",
  });
  assert.equal(prompts[1], "system: Be brief.\nuser: Again\nassistant:");
  assert.deepEqual(notes.slice(1, 3), ["Forgotten", "Nothing has been answered yet"]);
});

Deno.test("/policy and /budget hold from the next message on; wrong ones change nothing and say what is known", async () => {
  const { requests, notes } = await talk({ script: () => says("Hi.") }, [
    "a",
    "/policy snapkv",
    "/budget 6.9%",
    "b",
    "/policy snapkw",
    "/budget 0",
    "c",
    "/policy",
    "/budget",
  ]);
  assert.deepEqual(requests.map(({ kvCache: { policy, budget } }) => [policy, budget]), [
    ["dynamickv", 64],
    ["snapkv", "6.9%"],
    ["snapkv", "6.9%"],
  ]);
  const replies = notes.filter((note) => !note.startsWith("("));
  assert.deepEqual(replies.slice(0, 2), ["Policy: snapkv", "Budget: 6.9%"]);
  assert.match(replies[2], /^Unknown KV cache policy "snapkw": .* must be one of ebbkv, /);
  assert.match(replies[3], /^\/budget must be a whole number of rows .*, not "0"$/);
  assert.match(replies[4], /^Policy: snapkv; others: .*dynamickv/);
  assert.equal(replies[5], "Budget: 6.9%");
});

Deno.test("/rows draws the rows of the last answer, /help names the commands, others are unknown", async () => {
  const { notes, requests: [{ prompt: { length } }] } = await talk({ script: () => says("Hi.") }, [
    "a",
    "/rows",
    "/help",
    "/rwos",
    "/",
  ]);
  // As the engine that plays scripts keeps them.
  const mean = (Math.ceil(length / 2) + Math.ceil(length / 4)) / 2;
  assert.ok(
    notes[0].startsWith(`(dynamickv kept ${mean} of ${length} rows per layer; 4 tokens, the first after `),
    notes[0],
  );
  assert.match(notes[1], /^Rows kept of \d+ by dynamickv:$/);
  assert.match(notes[2], /^layer 0 +\d+ █+$/);
  const help = notes.findIndex((note) => note.startsWith("/policy NAME"));
  for (const name of ["budget", "rows", "clear", "help"]) {
    assert.ok(notes.slice(help).some((note) => note.startsWith(`/${name} `)), name);
  }
  assert.equal(notes.at(-2), "Unknown command /rwos: did you mean /rows?");
  assert.equal(notes.at(-1), "Unknown command /: /help lists them");
});

Deno.test("What does not count is said: a budget where every row is kept", async () => {
  const { notes } = await talk({ script: () => says("Hi.") }, ["/policy full", "/budget 8", "a"]);
  assert.equal(notes[2], "The budget 8 does not count: the policy full keeps every row");
});

Deno.test("A line with a space in front is no command", async () => {
  const { prompts } = await talk({ script: () => says("Yes.") }, [" /etc is what?"]);
  assert.deepEqual(prompts, ["user:  /etc is what?\nassistant:"]);
});

Deno.test("Ctrl-C ends the answer, not the conversation, which keeps what was said of it", async () => {
  const script = (_: unknown, at: number) =>
    at === 0 ? { tokens: byteTokens("Once upon"), hold: "decode" as const } : says("Fine.");
  const { text, prompts, notes, wentWell } = await talk({ script }, ["Tell", "And?"], {
    onText: (input) => input.onInterrupt?.(),
  });
  assert.equal(text, "O\nF\n");
  assert.deepEqual(notes, ["(interrupted)", "(interrupted)"]);
  assert.equal(prompts[1], "user: Tell\nassistant: O\nuser: And?\nassistant:");
  assert.ok(wentWell);
});

Deno.test("A message that is refused is said to be, is not kept, and the conversation did not go well", async () => {
  const { notes, prompts, wentWell } = await talk({ script: () => says("Hi.") }, ["x".repeat(300), "Hello"]);
  assert.match(notes[0], /maximum context length is 256 tokens/);
  assert.deepEqual(prompts, ["user: Hello\nassistant:"]);
  assert.ok(!wentWell);
});

Deno.test("The flags of drawing go with every message", async () => {
  const options = { temperature: 0.5, topK: 5, topP: 0.9, minP: 0.1, seed: 7, maxTokens: 2, stop: [","] };
  const penalties = { frequencyPenalty: 0.2, presencePenalty: 0.3, repetitionPenalty: 1.1 };
  const { requests: [request], text } = await talk({ script: () => says("a,b") }, ["Hello"], {
    options: { ...options, ...penalties },
  });
  const { stop: _, maxTokens, ...drawn } = options;
  assert.deepEqual(request.sampling, { ...drawn, ...penalties, logitBias: [] });
  assert.equal(request.maxTokens, maxTokens);
  assert.equal(text, "a\n");
});

Deno.test("main.ts chat takes lines from a pipe, answers on standard output, and tells the rest apart", async () => {
  const lines = "/policy readahead\nHello! Who are you?\n/rows\n";
  // Threads are not what is tested, and starting one more takes longer than the answer.
  const device = ["--device", "cpu", "--threads", "1"];
  const { code, stdout, stderr } = await runMainOn(lines, "chat", ...device, "--temperature", "0");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^[^\n]+\n$/);
  assert.match(stderr, /^Policy: readahead\n\(readahead kept /m);
  assert.match(stderr, /^layer 0 /m);
});
