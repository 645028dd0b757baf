/**
 * @file Queries of a prompt's rows as they would be asked behind the end of their chunk:
 *
 *     r_i = q_i turned on to the position behind the chunk, see scores/rehearsal.ts
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { REHEARSAL_CHUNK, REHEARSAL_DISTANCE } from "../../scores/rehearsal.ts";
import type { Pairing } from "./linear_scores.ts";
import type { RehearsalShape } from "./rehearsal_scores.ts";

const THREADS = 256;

/**
 * Bindings: queries f32 `[row of the pack][queryHead][headSize]`, rotated; table vec2 (cos, sin) `[position][headSize / 2]`; turned f32
 * `[chunk of the dispatch][REHEARSAL_CHUNK][queryHead][headSize]`.
 * Grid: along `x` a thread for each pair of elements of a row; `y` = chunks.
 */
export function turnedQueries(headSize: number, pairing: Pairing): Kernel {
  const pairs = headSize / 2;
  const [first, second] = pairing === "adjacent" ? ["2u * pair", "2u * pair + 1u"] : ["pair", `pair + ${pairs}u`];
  return {
    label: `turned-queries-${headSize}-${pairing}`,
    bindings: ["read", "read", "write"],
    wgsl: `
struct Params { start: u32, length: u32, query_heads: u32, chunk: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> turned: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let count = min(${REHEARSAL_CHUNK}u, params.length);
  let first_row = min((params.chunk + thread.y) * ${REHEARSAL_CHUNK}u, params.length - count);
  let pair = thread.x % ${pairs}u;
  let place = thread.x / ${pairs}u;
  let row = place / params.query_heads;
  if (row >= count) { return; }
  let behind = min(count + ${REHEARSAL_DISTANCE}u, arrayLength(&table) / ${pairs}u - 1u);
  // The table's lengths are not 1 where a model lengthens what it rotates: the query has been lengthened already.
  let turn = normalize(table[(behind - row) * ${pairs}u + pair]);
  let from_query = ((params.start + first_row) * params.query_heads + place) * ${headSize}u;
  let to_query = (thread.y * ${REHEARSAL_CHUNK}u * params.query_heads + place) * ${headSize}u;
  let x = queries[from_query + ${first}];
  let y = queries[from_query + ${second}];
  turned[to_query + ${first}] = x * turn.x - y * turn.y;
  turned[to_query + ${second}] = x * turn.y + y * turn.x;
}
`,
  };
}

/** A dispatch of {@link turnedQueries}. */
export function turnedQueriesDispatch(
  { queryHeadCount, headSize, start, length, chunk, chunks }: RehearsalShape & { readonly headSize: number },
): Dispatch {
  const pairs = Math.min(REHEARSAL_CHUNK, length) * queryHeadCount * headSize / 2;
  return { params: [start, length, queryHeadCount, chunk], grid: [Math.ceil(pairs / THREADS), chunks] };
}
