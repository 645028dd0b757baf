import assert from "node:assert/strict";
import { ChoiceText } from "../../../src/routes/generation/choice_text.ts";
import { fakeText, TOKEN } from "../../support/fake_text.ts";

Deno.test("the space before a first word is shown where a text goes on, and not where one begins", () => {
  const tokenizer = { ...fakeText.tokenizer, addSpacePrefix: true };
  const textOf = (continuation: boolean) => {
    const text = new ChoiceText(tokenizer, { stopStrings: [], includeStop: false, skipSpecial: true, continuation });
    for (const id of [TOKEN.world, TOKEN.world]) text.push({ id });
    text.finish();
    return text.take().text;
  };
  assert.equal(textOf(true), " world world");
  assert.equal(textOf(false), "world world");
});
