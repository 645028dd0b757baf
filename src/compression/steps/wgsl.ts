/** @file The step `wgsl` on the GPU: see kernels/scoring/user_scores.ts. */
import type { Gpu, Kernel } from "../../gpu/gpu.ts";
import {
  lineOfCode,
  userScores,
  userScoresDispatch,
  type UserScoresVariant,
} from "../../kernels/scoring/user_scores.ts";
import type { Wgsl } from "../../policy/steps/wgsl.ts";
import { MAX_WINDOW } from "../../scores/limits.ts";
import type { CompressorOptions, ScoringWork, StepRecorder } from "../scoring_work.ts";

/** What a step's kernel is made of. */
export function userScoresVariant(options: CompressorOptions, { code, uniforms }: Wgsl): UserScoresVariant {
  const { element, headSize, kvHeadCount, queryHeadCount } = options;
  return { element, headSize, kvHeadCount, queryHeadCount, code, uniforms: Object.keys(uniforms) };
}

/** u32 `[counter]`: the scores so far that were no numbers of at least 0. */
export function unusableScoresBuffer(work: ScoringWork): GPUBuffer {
  const { windowQueries } = work.buffers;
  const { queryHeadCount, headSize } = work.options;
  // As many as there are windows.
  return work.scratch("unusable scores", windowQueries.size / (MAX_WINDOW * queryHeadCount * headSize));
}

/**
 * Compiles the kernel of a step.
 *
 * @returns what the compiler says against it, and the line and column of the code, counted from 1; `null` if nothing
 */
export async function compileWgsl(
  { device }: Gpu,
  variant: UserScoresVariant,
): Promise<{ readonly message: string; readonly line: number; readonly column: number } | null> {
  const { wgsl: code } = userScores(variant);
  device.pushErrorScope("validation");
  const shader = device.createShaderModule({ label: "wgsl", code });
  // At once, so that the errors of nobody else are caught.
  const refusal = device.popErrorScope();
  const { messages } = await shader.getCompilationInfo();
  const refused = await refusal;
  const error = messages.find(({ type }) => type === "error");
  if (error === undefined) return refused && { message: refused.message.trim(), line: 1, column: 1 };
  // Naga points at whole functions, and says further down what in them it means.
  const lines = error.message.split("\n").map((line) => line.trimEnd());
  const mark = lines.findIndex((line) => /^\s*│.*\^/.test(line));
  const inner = mark > 0 ? Number(/^\s*(\d+) │/.exec(lines[mark - 1])?.[1] ?? NaN) : NaN;
  const line = lineOfCode(variant, Number.isNaN(inner) ? error.lineNum : inner);
  const [first] = lines.filter((line) => line.trim() !== "");
  const reasons = lines.filter((line) => /^\s*= /.test(line)).map((line) => line.trim().slice(2));
  const message = [first.trim().replace(/^Shader ('wgsl' )?/, ""), ...reasons].join("; ");
  return {
    message,
    line: Math.max(1, line),
    column: Number.isNaN(inner) || inner === error.lineNum ? error.linePos : 1,
  };
}

/** Records scores by the plugin's own kernel. */
export const recordWgsl: StepRecorder<Wgsl> = (work, recorder, step, segment) => {
  const { segmentIndex, earlierQueries = 0, queries = MAX_WINDOW, start, length, scored } = segment;
  const { keys, values, windowQueries } = work.buffers;
  const variant = userScoresVariant(work.options, step);
  const kernel: Kernel = work.made(`user scores ${variant.uniforms.join()} ${step.code}`, () => userScores(variant));
  const dispatch = userScoresDispatch({
    ...work.options,
    start,
    length,
    scored,
    firstQuery: segmentIndex * MAX_WINDOW + earlierQueries,
    window: Math.min(step.window, queries),
    counter: segment.counter ?? segmentIndex,
    uniforms: Object.values(step.uniforms),
  });
  work.dispatch(recorder, kernel, [keys, values, windowQueries, work.scores, unusableScoresBuffer(work)], dispatch);
};
