/**
 * @file Scores by WGSL that a plugin brings: an expression in `row`, or `fn score(row: u32) -> f32`. What it may call is told where
 * plugins are written, in policy/steps/wgsl.ts.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

const THREADS = 64;

/** Numbers of the code's own that there is room for. */
export const MOST_UNIFORMS = 32;

/** What the kernel is made of. */
export interface UserScoresVariant {
  readonly element: KvElement;
  readonly headSize: number;
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  readonly code: string;
  /** Names of its uniforms, in the order of their values. */
  readonly uniforms: readonly string[];
}

/** The line of the code, counted from 1, that a line of the whole kernel is; less than 1 where it is none of the code's. */
export function lineOfCode(variant: UserScoresVariant, line: number): number {
  const before = wgslOf(variant).split(CODE_MARK)[0].split("\n").length;
  return line - before - (isExpression(variant.code) ? 1 : 0);
}

function isExpression(code: string): boolean {
  return !/\bfn\s+score\s*\(/.test(code);
}

const CODE_MARK = "// ---- code of the plugin ----\n";

/**
 * Bindings: keys, values, KV elements `[kvHead][capacity][headSize]`; window queries f32 `[row][queryHead][headSize]`; scores f32
 * `[kvHead][capacity]`; unusable u32 `[counter]`, the scores that were no numbers of at least 0.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export function userScores(variant: UserScoresVariant): Kernel {
  const { element, headSize, kvHeadCount, queryHeadCount, code, uniforms } = variant;
  return {
    // Two kernels of the same label would have to have the same text.
    label: `user-scores-${element}-${headSize}-${queryHeadCount}/${kvHeadCount}-${uniforms.join()}-${code}`,
    bindings: ["read", "read", "read", "write", "write"],
    wgsl: wgslOf(variant),
  };
}

function wgslOf({ element, headSize, kvHeadCount, queryHeadCount, code, uniforms }: UserScoresVariant): string {
  const groupSize = queryHeadCount / kvHeadCount;
  const elements = (name: string, buffer: string) => `
fn ${name}4(row: u32, i: u32) -> vec4<f32> {
  return load_kv(${buffer}[(ebb_kv_head * params.capacity + params.start + row) * ${headSize / 4}u + i]);
}
fn ${name}(row: u32, i: u32) -> f32 {
  let four = ${name}4(row, i / 4u);
  return select(select(four.x, four.y, i % 4u == 1u), select(four.z, four.w, i % 4u == 3u), i % 4u >= 2u);
}`;
  return `
struct EbbUniforms { ${uniforms.length === 0 ? "ebb_none: f32" : uniforms.map((name) => `${name}: f32`).join(", ")} }
struct Params {
  start: u32, scored: u32, length: u32, capacity: u32, window: u32, first_query: u32, counter: u32,
  ${uniforms.map((_, i) => `uniform_${i}: f32,`).join(" ")}
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ebb_keys: array<${kvVec4Type(element)}>;
@group(0) @binding(2) var<storage, read> ebb_values: array<${kvVec4Type(element)}>;
@group(0) @binding(3) var<storage, read> ebb_queries: array<f32>;
@group(0) @binding(4) var<storage, read_write> ebb_scores: array<f32>;
@group(0) @binding(5) var<storage, read_write> ebb_unusable: array<atomic<u32>>;
var<private> ebb_kv_head: u32 = 0u;
var<private> uniforms: EbbUniforms = EbbUniforms();
${kvFunctions(element)}
${elements("key", "ebb_keys")}
${elements("value", "ebb_values")}
fn position(row: u32) -> u32 { return row; }
fn row_count() -> u32 { return params.length; }
fn head_size() -> u32 { return ${headSize}u; }
fn group_size() -> u32 { return ${groupSize}u; }
fn window_size() -> u32 { return params.window; }
fn kv_head() -> u32 { return ebb_kv_head; }
fn window_query(w: u32, g: u32, i: u32) -> f32 {
  let row = (params.first_query + w) * ${queryHeadCount}u + ebb_kv_head * ${groupSize}u + g;
  return ebb_queries[row * ${headSize}u + i];
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.scored) { return; }
  ebb_kv_head = thread.y;
  ${uniforms.map((name, i) => `uniforms.${name} = params.uniform_${i};`).join(" ")}
  // By its bits: what is no number compares as compilers like.
  let result: f32 = score(thread.x);
  let bits = bitcast<u32>(result);
  let is_usable = bits < 0x7f800000u || bits == 0x80000000u;
  if (!is_usable) { atomicAdd(&ebb_unusable[params.counter], 1u); }
  ebb_scores[thread.y * params.capacity + thread.x] = select(0.0, abs(bitcast<f32>(bits)), is_usable);
}
${CODE_MARK}${isExpression(code) ? `fn score(row: u32) -> f32 { return f32(\n${code}\n); }` : code}
`;
}

/** One prompt of a pack, as {@link userScores} sees it. */
export interface UserScoresShape {
  readonly kvHeadCount: number;
  /** First row of the prompt in keys and values. */
  readonly start: number;
  /** Rows of the prompt, and how many of them get a score, from the first on. */
  readonly length: number;
  readonly scored: number;
  /** Rows of keys, values and scores per KV head. */
  readonly capacity: number;
  /** First row of the window queries that is the prompt's, and their rows. */
  readonly firstQuery: number;
  readonly window: number;
  /** Which of the counters of unusable scores is the prompt's. */
  readonly counter: number;
  readonly uniforms: readonly number[];
}

/** A dispatch of {@link userScores}. */
export function userScoresDispatch(shape: UserScoresShape): Dispatch {
  const { kvHeadCount, start, length, scored, capacity, firstQuery, window, counter, uniforms } = shape;
  return {
    params: [start, scored, length, capacity, window, firstQuery, counter, ...uniforms.map(floatBits)],
    grid: [Math.ceil(scored / THREADS), kvHeadCount],
  };
}
