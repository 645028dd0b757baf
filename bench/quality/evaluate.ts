/**
 * @file How well a model does each family of tasks, by length of the prompt and KV cache policy.
 *
 * `deno run -A bench/quality/evaluate.ts --model models/ebb-mini.gguf --lengths 512,1024 --samples 50 [--policy full]
 * [--budget 1024] [--families needle,code] [--out FILE.json]`
 */
import { parseArgs } from "node:util";
import { progressDisplay } from "../../src/cli/progress.ts";
import { ensureAdapter } from "../../src/serving/environment.ts";
import { type RunningEngine, startEngine } from "../../src/serving/start_engine.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { parseKvCacheChoice } from "../../src/policy/choice.ts";
import { ask } from "../../src/eval/answerers/ask.ts";
import { generateTask, TASK_FAMILY_NAMES, type TaskFamilyName } from "../../src/eval/tasks/families.ts";
import { scoreReply } from "../../src/eval/tasks/scoring.ts";
import type { TaskSample } from "../../src/eval/tasks/task.ts";
import { tokenCounter } from "../../src/eval/tasks/token_counter.ts";

/** Mean score of a family at a length, in [0, 1]. */
export interface FamilyScore {
  readonly family: TaskFamilyName;
  readonly length: number;
  readonly samples: number;
  readonly score: number;
}

/** Samples that are asked at the same time. */
const CONCURRENCY = 4;

/** The greedy reply to a sample, begun with its prefix, asked through the model's chat template under the engine's default policy. */
async function reply(running: RunningEngine, { prompt, answerPrefix, maxTokens }: TaskSample): Promise<string> {
  const { text, chatTemplate } = running;
  const tokens = await text.encode(
    chatTemplate.render({ messages: [{ role: "user", content: prompt }] }).text + answerPrefix,
  );
  return answerPrefix + (await ask(running, tokens, maxTokens)).text;
}

/** Scores `samples` samples of the evaluation half. */
export async function evaluateFamily(
  running: RunningEngine,
  family: TaskFamilyName,
  length: number,
  samples: number,
): Promise<FamilyScore> {
  const countTokens = tokenCounter(running.text.tokenizer);
  let sum = 0;
  const seeds = Array.from({ length: samples }, (_, seed) => seed).values();
  const ask = async () => {
    for (const seed of seeds) {
      const sample = generateTask(family, { length, seed, split: "evaluation", countTokens });
      const score = scoreReply(sample, await reply(running, sample));
      sum += score;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, ask));
  return { family, length, samples, score: sum / samples };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: new URL("../../models/ebb-mini.gguf", import.meta.url).pathname },
      lengths: { type: "string", default: "512,1024,2048,4096" },
      samples: { type: "string", default: "20" },
      families: { type: "string", default: TASK_FAMILY_NAMES.join(",") },
      policy: { type: "string", default: "full" },
      budget: { type: "string", default: "1024" },
      out: { type: "string" },
    },
  });
  await ensureAdapter(console.error);
  const running = await startEngine(
    {
      model: values.model,
      defaultKvCache: parseKvCacheChoice(
        { policy: values.policy, budget: values.budget },
        { policy: "full", budget: 1 },
        builtInPolicies,
      ),
      kvType: "f16",
      maxBatch: CONCURRENCY,
      maxQueue: CONCURRENCY,
    },
    builtInPolicies,
    progressDisplay(),
  );
  const scores: FamilyScore[] = [];
  for (const length of values.lengths.split(",").map(Number)) {
    for (const family of values.families.split(",") as TaskFamilyName[]) {
      const score = await evaluateFamily(running, family, length, Number(values.samples));
      console.log(`${family} at ${length} tokens: ${(100 * score.score).toFixed(1)} %`);
      scores.push(score);
    }
  }
  if (values.out !== undefined) {
    const { policy, budget } = values;
    await Deno.writeTextFile(values.out, `${JSON.stringify({ policy, budget, scores }, null, 2)}\n`);
  }
  await running.close();
}
