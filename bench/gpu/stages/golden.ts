/** @file Stage: the greedy tokens of every golden model beside llama.cpp's. */
import {
  GOLDEN_MODELS,
  goldenTolerance,
  readGoldens,
  STORIES_MODEL,
  type TokenLogProbability,
} from "../../../fixtures/golden_models.ts";
import { tinyGguf } from "../../../fixtures/tiny_model.ts";
import { Gpu } from "../../../src/gpu/gpu.ts";
import { withFile } from "../../../tests/support/files.ts";
import { greedy, type GreedyResult, loadTestModel } from "../../../tests/support/greedy.ts";
import type { GoldenResults } from "../results.ts";
import type { StageContext } from "../stage.ts";

/** Continues every model's prompt and compares. */
export async function compareWithGoldens({ task, report, progress }: StageContext<GoldenResults>): Promise<void> {
  const goldens = await readGoldens();
  const gpu = await Gpu.open();
  const errors: string[] = [];
  gpu.device.addEventListener("uncapturederror", (event) => {
    errors.push((event as GPUUncapturedErrorEvent).error.message);
  });
  const hasStories = await Deno.stat(STORIES_MODEL).then(() => true, () => false);
  const models: GoldenResults["models"][number][] = [];
  const names = [...Object.keys(GOLDEN_MODELS), ...(hasStories ? ["stories260K"] : [])];
  for (const name of task.quick ? names.slice(0, 1) : names) {
    const { prompt, tokens: expected, top } = goldens[name];
    const continued = async (path: string) => {
      const serving = { contextLength: 64, maxBatch: 1, kvElement: "f16", kvMemory: 2 ** 20 } as const;
      const model = await loadTestModel(gpu, path, serving);
      return (await greedy(model, [prompt], expected.length))[0];
    };
    const options = GOLDEN_MODELS[name];
    const result = await (options ? withFile(tinyGguf(options), continued) : continued(STORIES_MODEL));
    const differing = expected.findIndex((token, i) => token !== result.tokens[i]);
    models.push({
      name,
      expected,
      actual: result.tokens,
      equalTokens: differing < 0 ? expected.length : differing,
      logProbabilityDifference: largestDifference(result, top),
      tolerance: goldenTolerance(name),
    });
    report({ models });
    if (differing >= 0) progress(`${name}: differs from llama.cpp's from token ${differing} on`);
    if (errors.length > 0) throw new Error(`${name}: the GPU reported an error: ${errors[0]}`);
  }
  const equal = models.filter(({ equalTokens, expected }) => equalTokens === expected.length).length;
  progress(`${equal} of ${models.length} golden models give llama.cpp's tokens`);
  gpu.destroy();
}

/** The largest difference from the log-probabilities of llama.cpp's best five, as long as the tokens before are the same. */
function largestDifference({ logits, tokens }: GreedyResult, top: readonly TokenLogProbability[][]): number {
  let largest = 0;
  for (const [step, values] of logits.entries()) {
    const highest = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const logSum = highest + Math.log(values.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
    for (const [token, expected] of top[step]) {
      // Unlike a comparison, Math.max passes a NaN on.
      largest = Math.max(largest, Math.abs(values[token] - logSum - expected));
    }
    if (tokens[step] !== top[step][0][0]) break;
  }
  return largest;
}
