import assert from "node:assert/strict";
import { chooseFiles } from "../../src/hub/choose_files.ts";

/** What is chosen of a repository with these paths. */
function choose(paths: readonly string[], wanted?: string): { main?: string; paths: string[] } {
  const repository = { name: "o/r", commit: "", files: paths.map((path) => ({ path, size: 1 })) };
  const { main, files } = chooseFiles(repository, wanted);
  return { main, paths: files.map(({ path }) => path) };
}

const SEVERAL = ["README.md", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-Q8_0.gguf", "m-IQ4_K_M.gguf"];
const PARTS = ["big/m-F16-00001-of-00002.gguf", "big/m-F16-00002-of-00002.gguf", "m.Q8_0.gguf"];
const FOLDER = [
  ...["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"],
  ...["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
];

Deno.test("a repository's only GGUF file is the model", () => {
  assert.deepEqual(choose(["README.md", "a.gguf"]), { main: "a.gguf", paths: ["a.gguf"] });
});

Deno.test("of several, Q4_K_M is taken, or the one that is named by its path or a word of it", () => {
  for (
    const [wanted, main] of [
      [undefined, "m-Q4_K_M.gguf"],
      ["m-Q8_0.gguf", "m-Q8_0.gguf"],
      ["q8_0", "m-Q8_0.gguf"],
      ["Q4_K_S", "m-Q4_K_S.gguf"],
      ["IQ4_K_M", "m-IQ4_K_M.gguf"],
    ] as const
  ) assert.equal(choose(SEVERAL, wanted).main, main);
});

Deno.test("parts come together", () => {
  assert.deepEqual(choose(PARTS, "F16"), { main: PARTS[0], paths: PARTS.slice(0, 2) });
  assert.throws(() => choose([PARTS[0]]), { message: `hf:o/r lacks ${PARTS[1]}, a part of ${PARTS[0]}` });
});

Deno.test("without a GGUF file, the folder with safetensors is the model, and nothing else of the repository", () => {
  const others = [
    "README.md",
    "pytorch_model.bin",
    "original/config.json",
    "consolidated.safetensors",
    "onnx/model.onnx",
  ];
  assert.deepEqual(choose([...FOLDER, ...others]), { main: undefined, paths: FOLDER });
});

Deno.test("what cannot be decided is listed", () => {
  const list = (paths: readonly string[]) => paths.map((path) => `\n  ${path}`).join("");
  const [a, b] = ["m-Q5_0.gguf", "m-Q8_0.gguf"];
  for (
    const [paths, wanted, message] of [
      [[a, b], undefined, `No GGUF file of hf:o/r has "Q4_K_M" in its name: name one after a colon${list([a, b])}`],
      [[a, b], "Q5", `No GGUF file of hf:o/r has "Q5" in its name: name one after a colon${list([a, b])}`],
      [[a, b], "m", `More than one GGUF file of hf:o/r has "m" in its name: name one after a colon${list([a, b])}`],
      [
        ["README.md"],
        "Q8_0",
        `No GGUF file of hf:o/r has "Q8_0" in its name: name one after a colon, but there is none`,
      ],
      [
        ["README.md", "model.safetensors"],
        undefined,
        "hf:o/r has neither a GGUF file nor config.json with model.safetensors: it is no model that Ebb can run",
      ],
    ] as const
  ) assert.throws(() => choose(paths, wanted), { message, isMissing: true });
});
