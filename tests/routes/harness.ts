/** @file The application on a fake engine, and readers of its replies. */
import assert from "node:assert/strict";
import { ApiKeys } from "../../src/routes/access/api_keys.ts";
import { type AppOptions, createApp } from "../../src/routes/app.ts";
import type { Encoder } from "../../src/contract/encoder.ts";
import type { ChatTemplate } from "../../src/text/chat_template.ts";
import type { EncodeTask } from "../../src/text/text_processor.ts";
import { listen } from "../../src/routes/listener.ts";
import { FakeEngine, type FakeEngineOptions, type Script } from "../support/fake_engine.ts";
import { fakeChatTemplate, fakeText } from "../support/fake_text.ts";
import { registry } from "../support/policies.ts";

/** An application whose sequences all play one script, or what the engine options say. */
export function startApp(
  behaviour: Script | FakeEngineOptions,
  options: Partial<AppOptions> = {},
  chatTemplate: ChatTemplate = fakeChatTemplate,
  onEncode: (text: string, task?: EncodeTask) => void = () => {},
  encoder?: Encoder,
) {
  const engine = new FakeEngine("script" in behaviour ? behaviour : { script: () => behaviour });
  const app = createApp({
    engine,
    encoder,
    text: {
      tokenizer: fakeText.tokenizer,
      encode(text, task) {
        onEncode(text, task);
        return fakeText.encode(text, task);
      },
    },
    chatTemplate,
    options: { policies: registry, log: showErrors, ...options },
  });
  return {
    app,
    engine,
    post: async (path: string, body: unknown, init: RequestInit = {}) =>
      await app.request(path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
      }),
  };
}

const showErrors: AppOptions["log"] = (entry) => {
  if (entry.level === "error") console.error(entry.error);
};

/** The blocks of an event stream, without the blank lines that end them. */
export async function readBlocks(response: Response): Promise<string[]> {
  const text = await response.text();
  assert.ok(text.endsWith("\n\n"), "a stream ends with a whole event");
  return text.slice(0, -2).split("\n\n");
}

/** The JSON of every event of a stream; checks that it ends with `[DONE]`. */
export async function readEvents(response: Response): Promise<any[]> {
  const blocks = await readBlocks(response);
  assert.equal(blocks.pop(), "data: [DONE]");
  return blocks.filter((block) => !block.startsWith(":")).map((block) => {
    assert.match(block, /^data: [^\n]*$/);
    return JSON.parse(block.slice("data: ".length));
  });
}

/** The error of a refused request. */
export async function readError(response: Response) {
  const { error } = await response.json();
  return { status: response.status, ...error };
}

/** Waits until a condition holds; fails with `what` if it never does. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`${what} did not happen`);
}

/** Keys without owners of note. */
export function keys(...keys: string[]): ApiKeys {
  return new ApiKeys(keys.map((key, at) => ({ name: `client ${at}`, key })));
}

/** Runs a body with an application behind a socket. */
export async function withServer(
  { app }: Pick<ReturnType<typeof startApp>, "app">,
  body: (url: string) => Promise<void>,
): Promise<void> {
  const drain = new AbortController();
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
  try {
    await body(server.url);
  } finally {
    drain.abort();
    await server.finished;
  }
}
