/**
 * @file `main.ts serve` over the model named by its first argument. Each line of standard input takes the engine's device away,
 * or has its thread die; with the second argument `once`, it does not start again.
 */
import { serve } from "../../src/cli/serve.ts";
import { openModel } from "../../src/formats/open.ts";
import { RestartingEngine } from "../../src/serving/restarting_engine.ts";
import { loadChatTemplate } from "../../src/text/chat_template.ts";
import { createTextProcessor } from "../../src/text/text_processor.ts";
import { type MortalEngine, startMortalEngine } from "./mortal_engine.ts";

const [model, lives] = Deno.args;
const options = {
  model: [model],
  policy: "full",
  kvBudget: 1,
  device: "cpu",
  host: "127.0.0.1",
  port: 0,
} as unknown as Parameters<typeof serve>[0];

let current: MortalEngine;

async function startOne() {
  current = await startMortalEngine(model);
  return current.engine;
}

async function obey(): Promise<void> {
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    for (const line of text.trim().split("\n")) line === "die" ? current.die() : current.loseDevice();
  }
}

const code = await serve(options, async () => {
  const file = await openModel(model);
  const text = await createTextProcessor(file);
  const chatTemplate = await loadChatTemplate(file, text.tokenizer);
  file.close();
  const start = lives === "once" ? () => Promise.reject(new Error("No adapter is left")) : startOne;
  const engine = new RestartingEngine(await startOne(), start, console.error, {
    now: () => performance.now(),
    pause: () => Promise.resolve(),
  });
  obey();
  return {
    engine,
    text,
    chatTemplate,
    changePlugins: () => Promise.resolve(),
    failed: engine.failed,
    close: () => engine.close(),
  };
});
Deno.exit(code);
