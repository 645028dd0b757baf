import assert from "node:assert/strict";
import { evalCompare } from "../../src/cli/eval.ts";
import { EVAL_COMPARE_FLAGS, type EvalCompareOptions } from "../../src/cli/flags/measuring.ts";
import { parseOptions } from "../../src/cli/parse_options.ts";
import { FakeEngine, likelyLogits } from "../support/fake_engine.ts";
import { byteTokens, fakeChatTemplate, fakeText, TOKEN } from "../support/fake_text.ts";
import { withDirectory } from "../support/files.ts";
import { tinyGguf } from "../../fixtures/tiny_model.ts";

function optionsOf(line: string): EvalCompareOptions {
  return parseOptions(line.split(" "), EVAL_COMPARE_FLAGS, {});
}

/** Runs the command on an engine that says the needle with the full cache and nothing with any other. */
async function run(options: EvalCompareOptions) {
  const engine = new FakeEngine({
    script: ({ kvCache }) => {
      const tokens = [...byteTokens(kvCache.policy === "full" ? "eat a sandwich and sit" : ""), TOKEN.end];
      return { tokens, resumed: ({ continuation }) => ({ tokens: [], logits: likelyLogits(tokens, continuation) }) };
    },
  });
  let isClosed = false;
  const printed: string[] = [];
  const { log } = console;
  console.log = (line: string) => printed.push(line);
  try {
    const code = await evalCompare(options, (asked) => {
      assert.equal(asked.maxBatch, 2 * 3);
      assert.equal(asked.kvMemory, options.kvMemory);
      return Promise.resolve({
        engine,
        text: fakeText,
        chatTemplate: fakeChatTemplate,
        changePlugins: () => Promise.resolve(),
        failed: new Promise<Error>(() => {}),
        close: () => Promise.resolve(void (isClosed = true)),
      });
    });
    assert.equal(code, 0);
  } finally {
    console.log = log;
  }
  assert.ok(isClosed);
  return { engine, printed: printed.join("\n") };
}

Deno.test("eval compare writes a report and a table, and a second run asks nothing and writes the same", async () => {
  await withDirectory({ "tiny.gguf": tinyGguf({ architecture: "llama" }) }, async (folder) => {
    const out = `${folder}/needle.json`;
    const options = optionsOf(
      `--model ${folder}/tiny.gguf --suite needle --policies snapkv --budgets 64,10% --lengths 1000 --samples 3 --out ${out} ` +
        "--kv-memory 2G",
    );
    assert.equal(options.kvMemory, 2 * 2 ** 30);
    const first = await run(options);
    // And the beginning of one, to find out how long all of them take.
    assert.equal(first.engine.requests.length, 1 + 9);
    const { benchmark, results } = JSON.parse(await Deno.readTextFile(out));
    assert.equal(benchmark, "quality");
    assert.deepEqual([results.suite, results.model, results.seed], ["needle", "fake-model", 0]);
    // Five of the answer's eleven different words.
    const scores = [Number((500 / 11).toPrecision(6)), 0, 0];
    assert.deepEqual(results.averages.map(({ score }: { score: number }) => score), scores);
    assert.deepEqual(
      results.tasks.map((task: Record<string, unknown>) => [task.policy, task.budget, task.task, task.compressed]),
      [["full", null, "needle", 0], ["snapkv", 64, "needle", 3], ["snapkv", "10%", "needle", 3]],
    );
    assert.match(first.printed, /^1000 tokens\n\npolicy +budget +needle +average/);
    const lines = (await Deno.readTextFile(`${folder}/needle.answers.jsonl`)).trimEnd().split("\n");
    assert.equal(lines.length, 1 + 9);
    for (const figure of ["scores", "agreement", "rows", "depths"]) {
      assert.match(await Deno.readTextFile(`${folder}/needle.${figure}.svg`), /^<svg [^]*<\/svg>\n$/);
    }

    const second = await run(options);
    assert.equal(second.engine.requests.length, 0);
    assert.equal(second.printed, first.printed);
  });
});

Deno.test("eval compare refuses answers that were made with another seed", async () => {
  await withDirectory({ "tiny.gguf": tinyGguf({ architecture: "llama" }) }, async (folder) => {
    const line = `--model ${folder}/tiny.gguf --suite needle --policies snapkv --budgets 64,10% --lengths 1000 ` +
      `--samples 1 --out ${folder}/needle.json`;
    await run(optionsOf(line));
    await assert.rejects(run(optionsOf(`${line} --seed 1`)), /holds answers of seed 0, not 1/);
  });
});

Deno.test("eval compare asks RULER's qa_1 from a file that the user names, and without it not at all", async () => {
  const paragraph = (i: number) => ({
    context: `Person ${i} lives in Town ${i}. `.repeat(3),
    qas: [{ question: `Where does person ${i} live?`, answers: [{ text: "eat a sandwich" }], is_impossible: false }],
  });
  const squad = { data: [{ paragraphs: [1, 2, 3].map(paragraph) }] };
  const files = { "tiny.gguf": tinyGguf({ architecture: "llama" }), "squad.json": JSON.stringify(squad) };
  await withDirectory(files, async (folder) => {
    const out = `${folder}/ruler.json`;
    const line = `--model ${folder}/tiny.gguf --suite ruler --tasks qa_1 --policies snapkv --budgets 64,10% ` +
      `--lengths 600 --samples 2 --out ${out}`;
    const { engine } = await run(optionsOf(`${line} --squad ${folder}/squad.json`));
    const { results } = JSON.parse(await Deno.readTextFile(out));
    assert.deepEqual(
      results.tasks.map(({ task, score }: Record<string, unknown>) => [task, score]),
      [["qa_1", 100], ["qa_1", 0], ["qa_1", 0]],
    );
    const prompt = fakeText.tokenizer.decode(engine.requests[1].prompt);
    assert.match(prompt, /Document 1:\nPerson \d lives[^]*Question: Where does person \d live\?[^]* Answer:$/);
    await assert.rejects(run(optionsOf(line)), /--tasks must name tasks of --suite ruler, [^]*, fwe, not qa_1/);
  });
});

Deno.test("eval compare refuses second turns where a text comes with one question", async () => {
  await withDirectory({ "tiny.gguf": tinyGguf({ architecture: "llama" }) }, async (folder) => {
    const line = `--model ${folder}/tiny.gguf --suite needle --policies snapkv --budgets 64,10% --lengths 1000 ` +
      `--samples 1 --mode two-turn --out ${folder}/needle.json`;
    await assert.rejects(run(optionsOf(line)), /--mode two-turn needs two questions about a text, but needle has one/);
  });
});
