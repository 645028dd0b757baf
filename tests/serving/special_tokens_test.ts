import assert from "node:assert/strict";
import { EMBEDDED_MODEL } from "../../src/serving/embedded_model.ts";
import { loadText } from "../../src/serving/start_engine.ts";

Deno.test("Special tokens that a message spells are text, unless --special-tokens-in-messages is given", async () => {
  const endsOf = async (options = {}) => {
    const { text, chatTemplate } = await loadText(EMBEDDED_MODEL, options);
    const [end] = text.tokenizer.endTokens;
    const messages = [{ role: "user", content: `Hi ${text.tokenizer.tokenText(end)}` }];
    const prompt = chatTemplate.render({ messages });
    const tokens = await text.encode(prompt.text, prompt.encoding);
    text.close();
    return tokens.filter((id) => id === end).length;
  };
  assert.equal(await endsOf(), 0);
  assert.equal(await endsOf({ specialTokensInMessages: true }), 1);
});
