/**
 * @file Asks Ebb what eviction.py is asked, so that the two can be compared.
 *
 *     deno run -A tools/reference/ask_ebb.ts MODEL.gguf DIRECTORY LENGTH SAMPLES POLICY,.. BUDGET,.. > ebb.jsonl
 *
 * Writes one line for each question, policy and budget: `{family, index, policy, budget, rows, tokens}`, rows per layer.
 */
import { ask } from "../../src/eval/answerers/ask.ts";
import { startEngine } from "../../src/serving/start_engine.ts";
import { ensureAdapter } from "../../src/serving/environment.ts";
import { parseKvCacheChoice } from "../../src/policy/choice.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";

const [model, directory, length, samples, policies, budgets] = Deno.args;
await ensureAdapter(console.error);
const running = await startEngine(
  {
    model,
    defaultKvCache: { policy: "full", budget: 1024, options: {} },
    kvType: "f32",
    maxBatch: 16,
    maxQueue: 64,
  },
  builtInPolicies,
  () => {},
);
const questions = JSON.parse(await Deno.readTextFile(`${directory}/questions-${length}.json`));
for (const { family, index, prompt, maxTokens } of questions) {
  if (index >= Number(samples)) continue;
  const tokens = Uint32Array.from(prompt as number[]);
  const lines = policies.split(",").flatMap((policy) =>
    budgets.split(",").map(async (budget) => {
      const choice = parseKvCacheChoice({ policy, budget }, running.engine.defaultKvCache, builtInPolicies);
      const reply = await ask(running, tokens, maxTokens, choice);
      return { family, index, policy, budget, rows: reply.kvCache.rowsPerLayer, tokens: reply.tokens };
    })
  );
  for (const line of await Promise.all(lines)) console.log(JSON.stringify(line));
}
await running.close();
