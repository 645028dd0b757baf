/** @file Added tokens of every kind against Hugging Face's tokenizers, from tools/golden/added_tokens.py. */

import assert from "node:assert/strict";
import { tokenizerFromFiles } from "../../src/text/tokenizer_json.ts";

const golden: readonly {
  readonly kind: Readonly<Record<string, boolean>>;
  readonly tokenizer: Record<string, unknown>;
  readonly texts: readonly (readonly [text: string, ids: number[], decoded: string])[];
}[] = JSON.parse(await Deno.readTextFile(new URL("../golden/added_tokens.json", import.meta.url)));

for (const { kind, tokenizer: json, texts } of golden) {
  const { type } = json.normalizer as { type: string } | null ?? { type: "no" };
  Deno.test(`Added tokens that are ${JSON.stringify(kind)} are found as by Hugging Face, ${type} normalizer`, () => {
    const tokenizer = tokenizerFromFiles({ tokenizer: json, tokenizerConfig: {}, generationConfig: {} }, {});
    for (const [text, ids, decoded] of texts) {
      assert.deepEqual(Array.from(tokenizer.encode(text)), ids, text);
      assert.equal(tokenizer.decode(ids, { skipSpecial: false }), decoded, text);
    }
  });
}
