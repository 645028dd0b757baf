/** @file `main.ts serve` over the model named by its first argument, whose device is lost when standard input ends. */
import { serve } from "../../src/cli/serve.ts";
import { openModel } from "../../src/formats/open.ts";
import { loadChatTemplate } from "../../src/text/chat_template.ts";
import { createTextProcessor } from "../../src/text/text_processor.ts";
import { startMortalEngine } from "./mortal_engine.ts";

const [model] = Deno.args;
const options = { model, policy: "full", kvBudget: 1, device: "cpu", host: "127.0.0.1", port: 0 } as Parameters<
  typeof serve
>[0];

const code = await serve(options, async () => {
  const file = await openModel(model);
  const text = await createTextProcessor(file);
  const chatTemplate = await loadChatTemplate(file, text.tokenizer);
  file.close();
  const { engine, loseDevice } = await startMortalEngine(model);
  new Response(Deno.stdin.readable).text().then(loseDevice);
  return { engine, text, chatTemplate, failed: engine.failed, close: () => Promise.resolve() };
});
Deno.exit(code);
