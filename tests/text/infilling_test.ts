import assert from "node:assert/strict";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import { infillingPrompt, infillingTokens, suffixText, suffixTokens } from "../../src/text/infilling.ts";
import { sentencePieceMetadata } from "../support/tokenizers.ts";

const FIM = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
const idsOf = (texts: readonly string[]) => (text: string) => texts.includes(text) ? texts.indexOf(text) : undefined;

Deno.test("infillingTokens() are those that the file names, or else those that are written like any known model's", () => {
  const named = { prefix: 7, suffix: 8, middle: 9 };
  assert.deepEqual(infillingTokens(named, idsOf(FIM)), named);
  assert.deepEqual(infillingTokens({ prefix: 7 }, idsOf(FIM)), { prefix: 0, suffix: 1, middle: 2 });
  const deepSeek = ["<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>"];
  assert.deepEqual(infillingTokens({}, idsOf(deepSeek)), { prefix: 1, suffix: 0, middle: 2 });
  assert.equal(infillingTokens({}, idsOf(FIM.slice(0, 2))), null, "two of three are not enough");
  assert.equal(infillingTokens({ prefix: 7, suffix: 8 }, idsOf(["<PRE>", "<fim_suffix>", "<MID>"])), null);
});

Deno.test("a GGUF file names its infilling tokens by the keys of today, or by those of old", () => {
  const words = ["one", "two", "three"];
  const of = (extra: Record<string, unknown>) => ggufTokenizer(sentencePieceMetadata(words, extra)).infilling;
  const key = (name: string) => `tokenizer.ggml.${name}_token_id`;
  const expected = { prefix: 259, suffix: 260, middle: 261 };
  assert.equal(of({}), null);
  assert.deepEqual(of({ [key("fim_pre")]: 259, [key("fim_suf")]: 260, [key("fim_mid")]: 261 }), expected);
  assert.deepEqual(of({ [key("prefix")]: 259, [key("suffix")]: 260, [key("middle")]: 261 }), expected);
  assert.equal(of({ [key("fim_pre")]: 259, [key("fim_suf")]: 260 }), null);
});

Deno.test("infilling tokens are special, however the file has them, and are no part of a text", () => {
  const tokenizer = ggufTokenizer(sentencePieceMetadata(["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"]));
  assert.deepEqual(tokenizer.infilling, { prefix: 259, suffix: 260, middle: 261 });
  assert.equal(tokenizer.decode([259, 260, 261]), "");
  assert.ok(tokenizer.endTokens.includes(262), "Code Llama's end of what is between");
});

Deno.test("no space comes before the text behind, where the tokenizer puts one before every text", () => {
  const words = ["▁a", "a", "b", "▁"];
  const tokensOf = (extra: Record<string, unknown>) => {
    const tokenizer = ggufTokenizer(sentencePieceMetadata(words, extra));
    const encoded = tokenizer.encode(suffixText("ab a", tokenizer), { addSpecial: false });
    return Array.from(suffixTokens(encoded, tokenizer));
  };
  assert.deepEqual(tokensOf({}), [260, 261, 259]);
  assert.deepEqual(tokensOf({ "tokenizer.ggml.add_space_prefix": false }), [260, 261, 259]);
});

Deno.test("infillingPrompt() has the text before, the text behind, and asks for what is between", () => {
  const tokens = { prefix: 1, suffix: 2, middle: 3 };
  const texts = { before: Uint32Array.of(10, 11), behind: Uint32Array.of(20) };
  assert.deepEqual(Array.from(infillingPrompt(tokens, { begin: null, ...texts })), [1, 10, 11, 2, 20, 3]);
  assert.deepEqual(Array.from(infillingPrompt(tokens, { begin: 9, ...texts })), [9, 1, 10, 11, 2, 20, 3]);
});
