/** @file The source `wgsl`: scores by a kernel of one's own. */
import { attention } from "./attention.ts";
import { MAX_WINDOW } from "../../scores/limits.ts";
import { type AnyStep, checkWindow, type StepRules } from "./step_rules.ts";

/** Scores of rows by WGSL. */
export interface Wgsl {
  readonly name: "wgsl";
  readonly window: number;
  readonly code: string;
  readonly uniforms: Readonly<Record<string, number>>;
  readonly anyOrder: boolean;
  readonly otherwise: AnyStep | undefined;
}

/** Numbers that a kernel can be given: what is left of its parameters. */
const MOST_UNIFORMS = 32;

/**
 * Scores rows by WGSL, which runs once for every row and KV head. The code is an expression in `row`, or it defines
 * `fn score(row: u32) -> f32`. It may call
 *
 * - `key(row, i)`, `value(row, i)`: elements, `i` below `head_size()`; `key4(row, i)`, `value4(row, i)`: four of them, from `4 * i` on
 * - `position(row)`: where the row is in the prompt; `row_count()`: the rows of the prompt
 * - `window_query(w, g, i)`: element `i` of the query of window row `w`, below `window_size()`, and of query head `g` of the group
 *   of this KV head, below `group_size()`; rotated, not scaled
 * - `kv_head()`, and `uniforms.NAME` for each of the `uniforms`
 *
 * What is no number of at least 0 counts as 0, is counted and logged.
 *
 * @param window last rows, which are always kept; at most 64 where queries are asked
 * @param code is compiled when the plugin is loaded: it is the same for all prompts and options, which `uniforms` can tell it of
 * @param uniforms numbers, 32 at most, f32
 * @param anyOrder whether scores hang on keys, values and queries alone, so that rows can be ranked again while tokens are generated,
 * in whatever order they lie then
 * @param otherwise a source of the same window in its place where the server computes on the CPU, which runs no WGSL
 */
export function wgsl(
  { window, code, uniforms = {}, anyOrder = false, otherwise }: Pick<Wgsl, "window" | "code"> & Partial<Wgsl>,
): Wgsl {
  return { name: "wgsl", window, code, uniforms, anyOrder, otherwise };
}

/** Whether the code asks queries of the window. */
export function asksQueries({ code }: Wgsl): boolean {
  return /\bwindow_query\s*\(/.test(code);
}

/** The pure half of {@link wgsl}. */
export const wgslRules: StepRules<Wgsl> = {
  role: "source",
  rankingAgain: ({ anyOrder }) => anyOrder ? "works" : "impossible",
  otherwiseGenerated: ({ window }) => attention({ window: Math.min(window, MAX_WINDOW) }),
  check(step, context) {
    const { window, code, uniforms } = step;
    checkWindow(window, context, asksQueries(step) ? MAX_WINDOW : Infinity);
    if (typeof code !== "string" || code.trim() === "") throw new TypeError("The code of wgsl() must be a text");
    const { window: other } = step.otherwise as { window?: unknown } ?? step;
    if (other !== window) {
      throw new RangeError(`What stands in for wgsl() must be a source of its window, ${window}, but has ${other}`);
    }
    const names = Object.keys(uniforms);
    if (names.length > MOST_UNIFORMS) {
      throw new RangeError(`wgsl() takes ${MOST_UNIFORMS} uniforms at most, but has ${names.length}`);
    }
    for (const name of names) {
      if (!/^[a-z]\w*$/i.test(name)) throw new RangeError(`A uniform of wgsl() cannot be named "${name}"`);
      if (!Number.isFinite(uniforms[name])) {
        throw new RangeError(`The uniform "${name}" of wgsl() must be a number, but is ${uniforms[name]}`);
      }
    }
  },
  needs: (step) => ({ windowQueries: asksQueries(step) }),
};
