/** @file `main.ts eval`: how good a model's answers are. */
import { scoreFolder } from "../../bench/quality/longbench/score.ts";
import { EXIT_CODES, ExitError } from "./exit_codes.ts";
import type { EvalScoreOptions } from "./flags.ts";

/** Prints the score of each task, in per cent, as JSON: `{"TASK": score}`. */
export async function evalScore({ predictions }: EvalScoreOptions): Promise<number> {
  const folder = await Deno.stat(predictions).catch(() => undefined);
  if (!folder?.isDirectory) {
    throw new ExitError(
      "usage",
      `--predictions must be a folder with files TASK.jsonl, but ${predictions} ${
        folder ? "is none" : "does not exist"
      }`,
    );
  }
  console.log(JSON.stringify(await scoreFolder(predictions), null, 2));
  return EXIT_CODES.ok.code;
}
