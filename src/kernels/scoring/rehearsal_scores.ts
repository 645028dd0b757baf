/**
 * @file What a prompt would look up in itself if it were read a second time, a chunk at a time:
 *
 *     r_i = q_i turned on to the position behind the end of the chunk           see turned_queries.ts
 *     n_i = sum over j of exp(r_i . k_j / sqrt(d)) + sum over j <= i of exp(q_i . k_j / sqrt(d))
 *     s[kvHead][j] = maximum over i and the query heads of the KV head of exp(r_i . k_j / sqrt(d)) / n_i
 *
 * i and j are rows of one chunk (scores/rehearsal.ts): the last one reaches back over rows that the one before it scores. The second sum
 * stands for what a query that is asked again has before it once more.
 *
 * A workgroup of 8 x 8 threads takes some queries of one head and walks the keys three times, in tiles, of which each thread has some
 * queries and keys, as in prefill_attention.ts: for either sum, each thread with its own maximum, and for the shares.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { REHEARSAL_CHUNK } from "../../scores/rehearsal.ts";
import { scoresPerThread } from "../forward/prefill_attention.ts";
import { type KvElement, kvUnitType, loadKvUnit } from "../kv_element.ts";

const SIDE = 8;
const THREADS = SIDE * SIDE;
/** Elements of a key that a thread loads at once. */
const UNIT = 8;

export interface RehearsalVariant {
  readonly element: KvElement;
  readonly queryHeadCount: number;
  readonly kvHeadCount: number;
  /** A multiple of 8. */
  readonly headSize: number;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/**
 * Bindings: queries f32 `[row of the pack][queryHead][headSize]`, rotated; turned f32
 * `[chunk of the dispatch][REHEARSAL_CHUNK][queryHead][headSize]`; keys, KV elements `[kvHead][capacity][headSize]`, rotated; scores f32
 * `[kvHead][capacity]`: zeros where they are to be written, which are raised.
 * Grid: blocks of queries of a chunk, query heads, chunks.
 */
export function rehearsalScores({ element, queryHeadCount, kvHeadCount, headSize }: RehearsalVariant): Kernel {
  const perThread = scoresPerThread(headSize);
  const tileRows = perThread.rows * SIDE;
  const tileKeys = perThread.keys * SIDE;
  const rows = range(perThread.rows);
  const keys = range(perThread.keys);
  const vectors = headSize / 4;
  const units = headSize / UNIT;
  const lines = (parts: readonly string[]) => parts.join("\n      ");
  /** Logits s{row}_{key} of the tile; `seen` says which keys count for a row. */
  const logits = (source: string, seen: (i: number, j: number) => string) => `
      ${
    lines(keys.map((j) =>
      `let key${j} = tile + tx + ${j * SIDE}u; let at${j} = (first_key + min(key${j}, count - 1u)) * ${units}u;`
    ))
  }
      ${rows.flatMap((i) => keys.map((j) => `var s${i}_${j}: f32 = 0.0;`)).join(" ")}
      for (var d: u32 = 0u; d < ${units}u; d++) {
        ${lines(keys.map((j) => loadKvUnit(element, `k${j}`, "keys", `at${j} + d`)))}
        ${
    lines(rows.map((i) =>
      `{ let a = ${source}[${source}${i} + 2u * d]; let b = ${source}[${source}${i} + 2u * d + 1u]; ${
        keys.map((j) =>
          `s${i}_${j} += dot(a, k${j}_0) + dot(b, k${j}_1);`
        ).join(" ")
      } }`
    ))
  }
      }
      ${
    lines(rows.map((i) =>
      keys.map((j) =>
        `s${i}_${j} = select(LOWEST, s${i}_${j} * params.scale, ${seen(i, j)});`
      ).join(" ")
    ))
  }`;
  /** The logits go into the sums of the thread's rows. */
  const summed = lines(
    rows.map((i) =>
      `{ let top = ${keys.map((j) => `s${i}_${j}`).reduce((a, b) => `max(${a}, ${b})`, `max${i}`)}; ` +
      `sum${i} = sum${i} * exp(max${i} - top) + ${keys.map((j) => `exp(s${i}_${j} - top)`).join(" + ")}; ` +
      `max${i} = top; }`
    ),
  );
  return {
    label: `rehearsal-scores-${element}-${queryHeadCount}/${kvHeadCount}x${headSize}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `
struct Params { start: u32, length: u32, scored: u32, capacity: u32, chunk: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> turned: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> keys: array<${kvUnitType(element)}>;
// Bits of numbers of at least 0, which have the order of the numbers; so in paid.
@group(0) @binding(4) var<storage, read_write> scores: array<atomic<u32>>;

// [tx][row]: maximum and sum of each thread of a row.
var<workgroup> partials: array<vec2<f32>, ${SIDE * tileRows}>;
// Of each row the maximum, and the reciprocal of its sum.
var<workgroup> row_state: array<vec2<f32>, ${tileRows}>;
var<workgroup> paid: array<atomic<u32>, ${REHEARSAL_CHUNK}>;

// Finite, so that no difference is a NaN.
const LOWEST: f32 = -1e30;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${SIDE}u;
  let own = thread / ${SIDE}u * ${perThread.rows}u;
  let head = workgroup.y;
  let kv_head = head / ${queryHeadCount / kvHeadCount}u;
  let count = min(${REHEARSAL_CHUNK}u, params.length);
  let scored_from = (params.chunk + workgroup.z) * ${REHEARSAL_CHUNK}u;
  let first = min(scored_from, params.length - count);
  let first_key = kv_head * params.capacity + params.start + first;
  let first_row = workgroup.x * ${tileRows}u;
  let end_row = min(first_row + ${tileRows}u, count);
  for (var key: u32 = thread; key < ${REHEARSAL_CHUNK}u; key += ${THREADS}u) { atomicStore(&paid[key], 0u); }
  ${
      rows.map((i) =>
        `let row${i} = min(first_row + own + ${i}u, end_row - 1u);
  let queries${i} = ((params.start + first + row${i}) * ${queryHeadCount}u + head) * ${vectors}u;
  let turned${i} = ((workgroup.z * ${REHEARSAL_CHUNK}u + row${i}) * ${queryHeadCount}u + head) * ${vectors}u;
  var max${i}: f32 = LOWEST;
  var sum${i}: f32 = 0.0;`
      ).join("\n  ")
    }
  for (var tile: u32 = 0u; tile < end_row; tile += ${tileKeys}u) {${logits("queries", (i, j) => `key${j} <= row${i}`)}
      ${summed}
  }
  for (var tile: u32 = 0u; tile < count; tile += ${tileKeys}u) {${logits("turned", (_, j) => `key${j} < count`)}
      ${summed}
  }
  ${rows.map((i) => `partials[tx * ${tileRows}u + own + ${i}u] = vec2<f32>(max${i}, sum${i});`).join("\n  ")}
  workgroupBarrier();
  if (thread < ${tileRows}u) {
    ${range(SIDE).map((x) => `let part${x} = partials[${x * tileRows}u + thread];`).join("\n    ")}
    let top = ${range(SIDE).map((x) => `part${x}.x`).reduce((a, b) => `max(${a}, ${b})`)};
    row_state[thread] = vec2<f32>(top, 1.0 / (${
      range(SIDE).map((x) => `part${x}.y * exp(part${x}.x - top)`).join(" + ")
    }));
  }
  workgroupBarrier();
  ${rows.map((i) => `let state${i} = row_state[own + ${i}u];`).join("\n  ")}
  // Rows before those that are scored here need no shares.
  for (var tile: u32 = (scored_from - first) / ${tileKeys}u * ${tileKeys}u; tile < count; tile += ${tileKeys}u) {${
      logits("turned", (_, j) => `key${j} < count`)
    }
      ${
      lines(keys.map((j) =>
        `if (key${j} < count) { atomicMax(&paid[key${j}], bitcast<u32>(${
          rows.map((i) =>
            `exp(s${i}_${j} - state${i}.x) * state${i}.y`
          ).reduce((a, b) => `max(${a}, ${b})`)
        })); }`
      ))
    }
  }
  workgroupBarrier();
  for (var row: u32 = scored_from + thread; row < min(first + count, params.scored); row += ${THREADS}u) {
    atomicMax(&scores[kv_head * params.capacity + row], atomicLoad(&paid[row - first]));
  }
}
`,
  };
}

/** Chunks of one prompt of a pack. */
export interface RehearsalShape {
  readonly queryHeadCount: number;
  /** First row of the prompt in the queries and keys, and its rows. */
  readonly start: number;
  readonly length: number;
  /** The first chunk, counted from that at the prompt's beginning, and how many they are. */
  readonly chunk: number;
  readonly chunks: number;
}

/**
 * A dispatch of {@link rehearsalScores}.
 *
 * @param shape besides: `scored`, rows that get a score, from the first on; `capacity`, rows of the keys and scores per KV head
 */
export function rehearsalScoresDispatch(
  { queryHeadCount, headSize, start, length, scored, capacity, chunk, chunks }: RehearsalShape & {
    readonly headSize: number;
    readonly scored: number;
    readonly capacity: number;
  },
): Dispatch {
  const tileRows = scoresPerThread(headSize).rows * SIDE;
  return {
    params: [start, length, scored, capacity, chunk, floatBits(1 / Math.sqrt(headSize))],
    grid: [Math.ceil(Math.min(REHEARSAL_CHUNK, length) / tileRows), queryHeadCount, chunks],
  };
}
