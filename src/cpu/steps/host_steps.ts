/** @file The steps whose numbers a plugin's TypeScript computes of each layer: the same as with a GPU, but for the way there. */
import type { LayerContext } from "../../policy/context.ts";
import type { SequencePolicy } from "../../policy/policy.ts";
import type { Step } from "../../policy/steps.ts";
import type { Linear } from "../../policy/steps/linear.ts";
import { linearWords } from "../../policy/steps/linear.ts";
import type { OnHost } from "../../policy/steps/on_host.ts";
import type { HostInput, HostInputs, QueryStatistics } from "../../policy/steps/step_rules.ts";
import { linearScores } from "../../scores/row_formulas.ts";
import { scoreByAttention } from "./attention.ts";
import type { CpuStep, ScoredRows } from "./scored_rows.ts";

/** The CPU half of `linear`. */
export const scoreLinearly: CpuStep<Linear> = (rows, step) => {
  const { kvHeadCount, headSize, scored } = rows;
  const { numbers, context: { rotary } } = rows.host!;
  const coefficients = numbers.get(step)!;
  const words = linearWords(headSize);
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const own = coefficients.subarray(head * words, (head + 1) * words);
    const keys = rows.keys(head).subarray(0, scored * headSize);
    return Float32Array.from(linearScores(keys, own.subarray(0, headSize), own.subarray(headSize), rotary.pairing));
  });
};

/** The CPU half of `onHost`. */
export const scoreOnHost: CpuStep<OnHost> = (rows, step) => {
  const { kvHeadCount, scored } = rows;
  const scores = rows.host!.numbers.get(step)!;
  return Array.from({ length: kvHeadCount }, (_, head) => scores.slice(head * scored, (head + 1) * scored));
};

/**
 * Has computed what the steps of a policy need.
 *
 * @param allQueries of all rows of the prompt, `[row][queryHead][headSize]`, rotated; where a step asks for them
 * @param lengthened by how much a rotation lengthens
 */
export function computeOnHost(
  rows: ScoredRows,
  policy: SequencePolicy,
  context: LayerContext,
  allQueries: Float32Array | null,
  lengthened: number,
): ReadonlyMap<Step, Float32Array> {
  const numbers = new Map<Step, Float32Array>();
  if (policy.hasFailed) return numbers;
  const inputs = inputsOf(rows, policy, context, allQueries, lengthened);
  for (const step of policy.hostSteps) {
    const computed = policy.computeOnHost(step, inputs, context);
    if (computed !== null) numbers.set(step.step, computed);
  }
  return numbers;
}

function inputsOf(
  rows: ScoredRows,
  { hostSteps, window }: SequencePolicy,
  context: LayerContext,
  allQueries: Float32Array | null,
  lengthened: number,
): HostInputs {
  const asked = new Set<HostInput>(hostSteps.flatMap(({ inputs }) => inputs));
  const joined = (of: (head: number) => Float32Array) => {
    const parts = Array.from({ length: rows.kvHeadCount }, (_, head) => of(head));
    const all = new Float32Array(parts.length * parts[0].length);
    parts.forEach((part, head) => all.set(part, head * part.length));
    return all;
  };
  const attention = () => scoreByAttention(rows, { name: "attention", window, reduce: "sum" }, []);
  return {
    ...asked.has("keys") && { keys: joined((head) => rows.keys(head)) },
    ...asked.has("values") && { values: joined((head) => rows.values(head)) },
    ...asked.has("attention") && { attention: joined(((scores) => (head: number) => scores[head])(attention())) },
    ...asked.has("queryStatistics") && { queryStatistics: queryStatistics(allQueries!, rows, context, lengthened) },
  };
}

/** Means of all queries before they were rotated. */
function queryStatistics(
  queries: Float32Array,
  { headSize, length }: ScoredRows,
  { queryHeadCount, rotary: { frequencies, pairing } }: LayerContext,
  lengthened: number,
): QueryStatistics {
  const pairs = headSize / 2;
  const mean = new Float64Array(queryHeadCount * headSize);
  const meanMagnitude = new Float64Array(queryHeadCount * pairs);
  for (let row = 0; row < length; row++) {
    for (let pair = 0; pair < pairs; pair++) {
      const angle = row * frequencies[pair];
      const scale = 1 / (length * lengthened);
      const [cosine, sine] = [Math.cos(angle) * scale, Math.sin(angle) * scale];
      const [first, second] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
      for (let head = 0; head < queryHeadCount; head++) {
        const at = (row * queryHeadCount + head) * headSize;
        const [a, b] = [queries[at + first], queries[at + second]];
        mean[head * headSize + first] += a * cosine + b * sine;
        mean[head * headSize + second] += b * cosine - a * sine;
        meanMagnitude[head * pairs + pair] += Math.hypot(a, b) * scale;
      }
    }
  }
  return { mean: Float32Array.from(mean), meanMagnitude: Float32Array.from(meanMagnitude) };
}
