/**
 * @file Writes tests/golden/tokenizer.json: what llama.cpp makes of many strings under several tokenizers.
 *
 *     npm install --prefix /tmp/golden node-llama-cpp@3.22.1
 *     npx -y node@24 tools/golden/tokenizer.mjs /tmp/golden
 *
 * (Node 24, because it reads TypeScript.) The tokenizers are those of ../shared/models/stories260K.gguf and
 * ../shared/models/smollm2-tokenizer. Where pre-tokenizers cut is compared with vocabularies made for it: a real one has
 * hardly any merge across a cut, so that it looks the same under most patterns. Here any two neighbouring bytes of the
 * texts merge, the rarest pairs first in one vocabulary and the most frequent first in the other, and only a cut
 * prevents it.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { writeGguf } from "../../src/formats/gguf_writer.ts";
import { PRE_TOKENIZERS } from "../../src/text/pre_tokenizers.ts";

const root = join(import.meta.dirname, "../..");
const library = join(resolve(process.argv[2]), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(library).href);

const TEXTS = [
  "",
  " ",
  "   ",
  "\n",
  "\n\n\n",
  "\r\n\r\n",
  " \n ",
  "\t\t x\t",
  "Hello",
  " Hello",
  "  Hello",
  "Hello ",
  "Once upon a time, there was a little girl named Lily.",
  "She said \"I can't, I'll, we've, they're, it's, I'd, I'm\".",
  "CAN'T I'LL WE'VE THEY'RE IT'S I'D I'M",
  "a'b 'tis rock 'n' roll 's 't",
  "camelCase PascalCase HTTPServer snake_case kebab-case iPhone",
  "1234567890 12 345 6,789.01 3.14e-10 0x1F",
  "½ ¾ ² ③ Ⅷ ٣٤٥ १२३",
  "foo(bar[0], {x: 1}); // done!?\n\treturn a ** b;\n",
  "if (a <= b && c != d || !e) { f->g(); }",
  "a  b   c    d     e",
  "line one\nline two\n\n  indented\n\n\n    more",
  "trailing spaces   \n   leading spaces",
  "...!!!???---___***+++===<<<>>>$$$^^^~~~|||```",
  "naïve café Ünïcödé Straße ÀÉÎ ǅungla",
  "e\u0301 a\u0308 \u1e9b\u0323 combining",
  "Привет, мир! Καλημέρα κόσμε שלום עולם مرحبا بالعالم",
  "你好，世界。こんにちは世界 カタカナ 안녕하세요 세계",
  "ไทยแลนด์ हिन्दी தமிழ்",
  "😀😃 👨‍👩‍👧‍👦 🇩🇪 👍🏽 a😀b",
  "\u{10ffff}\u{1f9ff}\u{20000}",
  "zero\u200bwidth\u200djoiner soft\u00adhyphen",
  "\ufeffbom and nel\u0085end, nbsp\u00a0em\u2003ideographic\u3000line\u2028",
  "\ufeff!? \ufeff.\u0085.! \u0085\u0085",
  "\u0000\u0001\u001f\u007f",
  "▁already▁escaped <0x41> <0x0A>",
  "http://example.com/a?b=c&d=e#f user@example.org C:\\path\\file.txt",
  "<s>begin</s> end <unk> x",
  "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
  "<|endoftext|><|endoftext|> <|im_end",
  "text<repo_name>a/b<file_sep> <reponame>",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "antidisestablishmentarianism supercalifragilisticexpialidocious",
  "the the the The THE tHe",
  "Mr. O'Neill's dog—the brown one—ate “the” 5th ‘bone’…",
];

/** Random token ids to turn into text; seeded, so that a second run writes the same. */
function randomIds(count, size, seed) {
  let state = seed;
  return Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % size);
}

async function describe(llama, modelPath) {
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  const raw = model._model;
  const size = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const encode = (special) => TEXTS.map((text) => Array.from(raw.tokenize(text, special)));
  const decoded = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
    const tokens = randomIds(seed * 5, size, seed);
    return { tokens, text: raw.detokenize(Uint32Array.from(tokens), false) };
  });
  const description = {
    plain: encode(false),
    special: encode(true),
    decoded,
    endTokens: Array.from({ length: size }, (_, id) => id).filter((id) => raw.isEogToken(id)),
    addBeginToken: raw.shouldPrependBosToken(),
  };
  await model.dispose();
  return description;
}

/** What llama.cpp wants to know of any model. */
const MODEL = {
  "general.architecture": "llama",
  "llama.context_length": 128,
  "llama.embedding_length": 64,
  "llama.feed_forward_length": 128,
  "llama.block_count": 1,
  "llama.attention.head_count": 1,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
};

function smollmMetadata() {
  const { model, added_tokens } = JSON.parse(
    readFileSync(join(root, "../shared/models/smollm2-tokenizer/tokenizer.json"), "utf8"),
  );
  const tokens = [];
  for (const [text, id] of Object.entries(model.vocab)) tokens[id] = text;
  const kinds = new Int32Array(tokens.length).fill(1);
  for (const { id } of added_tokens) kinds[id] = 3;
  return {
    ...MODEL,
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": kinds,
    "tokenizer.ggml.merges": model.merges,
  };
}

/** GPT-2's printable character for every byte. */
const BYTE_CHARACTERS = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
})();

/** Tokens that no merge makes: only pre-tokenizers that look for whole words find them. */
const WHOLE_WORDS = ["Hello", "ĠHello", "Ġthere"];

/** All pairs of neighbouring bytes in the texts, the rarest first. */
function pairMerges() {
  const counts = new Map();
  for (const text of TEXTS) {
    const characters = Array.from(new TextEncoder().encode(text), (byte) => BYTE_CHARACTERS[byte]);
    for (let i = 1; i < characters.length; i++) {
      const pair = `${characters[i - 1]} ${characters[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
  }
  return [...counts].sort((a, b) => a[1] - b[1]).map(([pair]) => pair);
}

const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.disabled });
const folder = mkdtempSync(join(tmpdir(), "ebb-golden-"));
try {
  const stories = await describe(llama, join(root, "../shared/models/stories260K.gguf"));
  const smollmPath = join(folder, "smollm.gguf");
  writeFileSync(smollmPath, writeGguf(smollmMetadata(), []));
  const smollm = await describe(llama, smollmPath);

  const merges = pairMerges();
  const tokens = [...BYTE_CHARACTERS, ...merges.map((merge) => merge.replace(" ", "")), ...WHOLE_WORDS];
  // Names that share one entry of the table share their result.
  const names = new Map();
  for (const [name, entry] of PRE_TOKENIZERS) if (!names.has(entry)) names.set(entry, name);
  const cuts = {};
  for (const name of names.values()) {
    const results = [merges, merges.toReversed()].map(async (merges, i) => {
      const path = join(folder, `${name}.${i}.gguf`);
      const metadata = { ...MODEL, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges };
      writeFileSync(path, writeGguf({ ...metadata, "tokenizer.ggml.pre": name }, []));
      return await describe(llama, path);
    });
    const [rarestFirst, mostFrequentFirst] = await Promise.all(results);
    cuts[name] = {
      rarestFirst: rarestFirst.plain,
      mostFrequentFirst: mostFrequentFirst.plain,
      addBeginToken: rarestFirst.addBeginToken,
    };
  }
  const file = join(root, "tests/golden/tokenizer.json");
  const json = JSON.stringify({ texts: TEXTS, stories, smollm, pairs: { tokens, merges }, cuts }, null, 1)
    // One line for each list of ids.
    .replace(/\[[\s\d,]*\]/g, (list) => list.replace(/\s+/g, ""));
  writeFileSync(file, json + "\n");
} finally {
  rmSync(folder, { recursive: true });
}
process.exit(0);
