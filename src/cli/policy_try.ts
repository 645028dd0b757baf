/** @file `main.ts policy try`: a small leaderboard of users' policies beside some of Ebb's. */
import { averageTasks, type Summary } from "../eval/comparison/aggregate.ts";
import { comparisonCharts } from "../eval/comparison/comparison_charts.ts";
import { table } from "../charts/text_table.ts";
import { startEngine } from "../serving/start_engine.ts";
import { runComparison } from "./eval.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { EVAL_COMPARE_FLAGS, type EvalCompareOptions } from "./flags/measuring.ts";
import type { PolicyTryOptions } from "./flags/policies.ts";
import { requireOutFile } from "./out_file.ts";
import { policiesOf } from "./policies.ts";
import { policiesToCheck } from "./policy_check.ts";

/** Whom a new policy is measured by. */
const RIVALS = ["ebbkv", "dynamickv", "snapkv"];
/** Families of tasks that tell policies apart, and whose answers are short. */
const TASKS = ["needle", "key-value", "variable-chain", "single-document-qa"];

/**
 * Asks questions with each policy and the full cache, and prints who answers how many.
 *
 * @param start loads the model; tests put a stand-in here
 */
export async function policyTry(
  { file, model, device, budget, length, samples, out = `${file}.try.svg` }: PolicyTryOptions,
  start: typeof startEngine = startEngine,
): Promise<number> {
  await requireOutFile("--out", out, ".svg");
  const own = policiesToCheck(await policiesOf({ plugin: [file] })).map(({ name }) => name);
  const directory = await Deno.makeTempDir({ prefix: "ebb-try-" });
  try {
    const results = await runComparison(
      {
        ...defaults(),
        model,
        device,
        plugin: [file],
        policies: [...own, ...RIVALS],
        budgets: [budget],
        lengths: [length],
        samples,
        tasks: TASKS,
        out,
      },
      `${directory}/answers.jsonl`,
      start,
    );
    await Deno.writeTextFile(out, comparisonCharts(results).scores);
    console.log(leaderboard(averageTasks(results.tasks), own));
    console.log(`\n${samples} questions of each of ${TASKS.join(", ")} at ${length} tokens; ${out} shows each task`);
    return EXIT_CODES.ok.code;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Best first; the full cache is what all are measured by. */
function leaderboard(averages: readonly Summary[], own: readonly string[]): string {
  const ranked = [...averages].sort((a, b) => b.score - a.score);
  const header = ["policy", "score, %", "% of full", "tokens as with full, %", "bytes kept, %"];
  const cell = (value: number | null) => value === null ? "" : value.toFixed(1);
  return table(
    header,
    ranked.map(({ policy, score, percentOfFull, agreement, keptBytes }) => [
      own.includes(policy) ? `${policy} (yours)` : policy,
      cell(score),
      cell(percentOfFull),
      cell(agreement && 100 * agreement),
      cell(keptBytes && 100 * keptBytes),
    ]),
  );
}

/** What `eval compare` takes where nothing is said. */
function defaults(): EvalCompareOptions {
  return Object.fromEntries(
    Object.entries(EVAL_COMPARE_FLAGS).map(([name, flag]) => [name, "default" in flag ? flag.default : undefined]),
  ) as unknown as EvalCompareOptions;
}
