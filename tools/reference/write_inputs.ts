/**
 * @file Writes what eviction.py works on: a model's weights and the questions of our task families.
 *
 *     deno run -A tools/reference/write_inputs.ts MODEL.gguf DIRECTORY LENGTH FIRST_SEED SAMPLES
 *
 * `model.json` and `weights.f32` hold the model as this repository reads it, dequantised; `questions-LENGTH.json` the prompts
 * as token ids, chat template and the beginning of the answer included, and how many of them stand before the question.
 */
import { askedBy } from "../../src/eval/suites/question.ts";
import { NEEDLE_DEPTHS } from "../../src/eval/suites/suites.ts";
import { generateTask, TASK_FAMILY_NAMES } from "../../src/eval/tasks/families.ts";
import { tokenCounter } from "../../src/eval/tasks/token_counter.ts";
import { openModel } from "../../src/formats/open.ts";
import { dequantise } from "../../src/formats/quantisation.ts";
import { elementCount } from "../../src/formats/tensor_types.ts";
import { loadChatTemplate } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";

const [model, directory, ...numbers] = Deno.args;
const [length, firstSeed, samples] = numbers.map(Number);
if (!(samples > 0)) {
  console.error("Usage: deno run -A tools/reference/write_inputs.ts MODEL.gguf DIRECTORY LENGTH FIRST_SEED SAMPLES");
  Deno.exit(2);
}
await Deno.mkdir(directory, { recursive: true });
const file = await openModel(model);
const tokenizer = await loadTokenizer(file);
const chatTemplate = await loadChatTemplate(file, tokenizer);

const weights = await Deno.open(`${directory}/weights.f32`, { write: true, create: true, truncate: true });
const writer = weights.writable.getWriter();
for (const { name, type, shape } of file.tensors.values()) {
  const values = dequantise(type, await file.readTensor(name), elementCount(shape));
  await writer.write(new Uint8Array(values.buffer));
}
await writer.close();
const description = {
  metadata: Object.fromEntries(Object.entries(file.metadata).filter(([name]) => name.startsWith("llama."))),
  tensors: [...file.tensors.values()].map(({ name, shape }) => ({ name, shape })),
  endTokens: tokenizer.endTokens,
  // Bytes in hexadecimal.
  vocabulary: Array.from(
    { length: tokenizer.vocabularySize },
    (_, id) => tokenizer.isSpecial(id) ? "" : tokenizer.tokenBytes(id).toHex(),
  ),
};
await Deno.writeTextFile(
  `${directory}/model.json`,
  JSON.stringify(description, (_, value) => typeof value === "bigint" ? Number(value) : value),
);

const countTokens = tokenCounter(tokenizer);
const { ask } = askedBy({ chatTemplate, tokenizer });
const questions = TASK_FAMILY_NAMES.flatMap((family) =>
  Array.from({ length: samples }, (_, index) => {
    const depth = family === "needle" ? NEEDLE_DEPTHS[index % NEEDLE_DEPTHS.length] / 100 : undefined;
    const seed = firstSeed + index;
    const sample = generateTask(family, { length, seed, split: "evaluation", depth, countTokens });
    const { metric, answers, answerPrefix, maxTokens, reply, question } = sample;
    const asked = ask({ context: sample.prompt.slice(0, -question.length), question, answerPrefix });
    const prompt = [...tokenizer.encode(asked.prompt)];
    const document = tokenizer.encode(asked.prompt.slice(0, asked.questionStart));
    // A token may cross the place.
    const differs = prompt.findIndex((token, i) => token !== document[i]);
    return { family, index, seed, metric, answers, answerPrefix, maxTokens, reply, prompt, documentTokens: differs };
  })
);
await Deno.writeTextFile(`${directory}/questions-${length}.json`, JSON.stringify(questions));
file.close();
