/**
 * @file Attention that all queries of a prompt pay to each row (H2O, arXiv 2306.14048), summed while the prompt is prefilled:
 *
 *     sums[kvHead][j] = 1 / N  sum over i >= j of  mean over the group's heads of  softmax_j(q_i . k_j / sqrt(headSize))
 *
 * Prefill holds only the queries of the tile at hand, so the sums grow tile by tile. Nothing is stored of the products of
 * queries and keys, which are made twice, after attention has made them once:
 *
 *     statistics   a workgroup takes 64 queries of one head, walks the keys and keeps log(sum(exp(logit))) of each query
 *     sums         a workgroup takes 64 keys, walks the queries of all heads of the group and sums exp(logit - statistic)
 *
 * In both, each of 8 x 8 threads makes the logits of 8 queries with 8 keys straight from memory, as prefill_attention.ts does,
 * and keeps what it has found to itself: threads of the same queries, or keys, meet only at the end. Where subgroups have
 * eight threads, those of one ty are a subgroup: each then loads one of their eight queries, which go round by broadcast. Why,
 * says subgroup_prefill_attention.ts.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { type KvElement, kvUnitType, loadKvUnit } from "../kv_element.ts";

/** Threads of each side of a workgroup, and queries and keys of each thread. */
const SIDE = 8;
const EACH = Array.from({ length: SIDE }, (_, index) => index);
/** Queries and keys of a workgroup, and its threads: at the end each has one. */
const TILE = SIDE * SIDE;

export interface AttentionSumsVariant {
  readonly element: KvElement;
  /** A multiple of 8. */
  readonly headSize: number;
  /** Threads of the adapter's subgroups, if kernels may rely on it. */
  readonly subgroupSize?: number;
}

/** The two kernels that sum attention, dispatched in this order. */
export interface AttentionSumsKernels {
  /**
   * Bindings: queries f32 `[row of the tile][queryHead][headSize]` (rotated, unscaled); keys KV elements
   * `[kvHead][capacity][headSize]` (rotated); statistics f32 `[queryHead][count]`, written.
   * Grid: `x` = lots of 64 queries, `y` = query heads.
   */
  readonly statistics: Kernel;
  /**
   * Bindings: queries, keys and statistics as above; sums f32 `[kvHead][capacity]`, by row of the pack: those of rows that no
   * earlier query sees are set, others are added to.
   * Grid: `x` = lots of 64 keys, `y` = KV heads.
   */
  readonly sums: Kernel;
}

/** Generates the kernels for a model's head size. */
export function attentionSums(variant: AttentionSumsVariant): AttentionSumsKernels {
  return { statistics: statisticsKernel(variant), sums: sumsKernel(variant) };
}

const lines = (parts: readonly string[]) => parts.join("\n    ");

/** WGSL that both kernels are made of; `s{i}_{j}` is the product of the thread's query i and key j. */
function logitParts({ element, headSize, subgroupSize }: AttentionSumsVariant) {
  const broadcasts = subgroupSize === SIDE;
  const units = headSize / 8;
  const query = (index: string) =>
    `((params.tile_row + min(${index}, params.count - 1u)) * params.query_heads + head) * ${2 * units}u`;
  return {
    suffix: `${broadcasts ? "subgroups " : ""}${element} ${headSize}`,
    declarations: `
struct Params {
  start: u32, first: u32, count: u32, tile_row: u32,
  capacity: u32, query_heads: u32, group: u32, scale: f32, weight: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<${kvUnitType(element)}>;

// Finite, so that no difference is a NaN.
const LOWEST: f32 = -1e30;
`,
    // The thread's keys: every eighth from `tile + tx` on, in the rows from `base` on.
    placeKeys: lines(EACH.map((j) =>
      `let key${j} = tile + tx + ${j * SIDE}u;
    let at${j} = (base + min(key${j}, params.first + params.count - 1u)) * ${units}u;`
    )),
    // The thread's queries of `head`, from `own` on, and how many keys each sees: those beyond the last see none.
    placeQueries: `${
      broadcasts
        ? `let query = ${query("own + tx")};`
        : lines(EACH.map((i) => `let query${i} = ${query(`own + ${i}u`)};`))
    }
    ${
      lines(
        EACH.map((i) => `let seen${i} = select(0u, params.first + own + ${i + 1}u, own + ${i}u < params.count);`),
      )
    }`,
    products: `${EACH.flatMap((i) => EACH.map((j) => `var s${i}_${j}: f32 = 0.0;`)).join(" ")}
    for (var d: u32 = 0u; d < ${units}u; d++) {
      ${broadcasts ? "let own_a = queries[query + 2u * d]; let own_b = queries[query + 2u * d + 1u];" : ""}
      ${lines(EACH.map((j) => loadKvUnit(element, `k${j}`, "keys", `at${j} + d`)))}
      ${
      lines(EACH.map((i) =>
        `{ ${
          broadcasts
            ? `let a = subgroupBroadcast(own_a, ${i}u); let b = subgroupBroadcast(own_b, ${i}u);`
            : `let a = queries[query${i} + 2u * d]; let b = queries[query${i} + 2u * d + 1u];`
        } ${
          EACH.map((j) => `s${i}_${j} += dot(a, k${j}_0) + dot(b, k${j}_1);`).join(" ")
        } }`
      ))
    }
    }`,
  };
}

function statisticsKernel(variant: AttentionSumsVariant): Kernel {
  const { suffix, declarations, placeKeys, placeQueries, products } = logitParts(variant);
  return {
    label: `attention statistics ${suffix}`,
    bindings: ["read", "read", "write"],
    wgsl: `${declarations}
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;

// [tx][query]: what each thread of a query has found.
var<workgroup> maxima: array<f32, ${SIDE * TILE}>;
var<workgroup> totals: array<f32, ${SIDE * TILE}>;

@compute @workgroup_size(${TILE})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${SIDE}u;
  let ty = thread / ${SIDE}u;
  let head = workgroup.y;
  let base = head / params.group * params.capacity + params.start;
  let first_query = workgroup.x * ${TILE}u;
  let own = first_query + ty * ${SIDE}u;
  ${placeQueries}
  ${EACH.map((i) => `var max${i}: f32 = LOWEST; var total${i}: f32 = 0.0;`).join("\n  ")}
  let key_end = params.first + min(first_query + ${TILE}u, params.count);
  for (var tile: u32 = 0u; tile < key_end; tile += ${TILE}u) {
    ${placeKeys}
    ${products}
    ${
      lines(EACH.map((i) =>
        `${EACH.map((j) => `s${i}_${j} = select(LOWEST, s${i}_${j} * params.scale, key${j} < seen${i});`).join(" ")}
    { let top = max(max${i}, ${EACH.map((j) => `s${i}_${j}`).reduce((a, b) => `max(${a}, ${b})`)});
    total${i} = total${i} * exp(max${i} - top) + ${
          EACH.map((j) => `exp(s${i}_${j} - top)`).join(" + ")
        }; max${i} = top; }`
      ))
    }
  }
  ${
      lines(EACH.map((i) => {
        const at = `tx * ${TILE}u + ty * ${SIDE}u + ${i}u`;
        return `maxima[${at}] = max${i}; totals[${at}] = total${i};`;
      }))
    }
  workgroupBarrier();
  if (first_query + thread < params.count) {
    let top = ${EACH.map((x) => `maxima[${x * TILE}u + thread]`).reduce((a, b) => `max(${a}, ${b})`)};
    let total = ${
      EACH.map((x) => `${x * TILE}u + thread`).map((at) => `totals[${at}] * exp(maxima[${at}] - top)`)
        .join(" + ")
    };
    statistics[head * params.count + first_query + thread] = top + log(total);
  }
}
`,
  };
}

function sumsKernel(variant: AttentionSumsVariant): Kernel {
  const { suffix, declarations, placeKeys, placeQueries, products } = logitParts(variant);
  return {
    label: `attention sums ${suffix}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `${declarations}
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

// [ty][key]: what each thread of a key has found.
var<workgroup> found: array<f32, ${SIDE * TILE}>;

@compute @workgroup_size(${TILE})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${SIDE}u;
  let ty = thread / ${SIDE}u;
  let kv_head = workgroup.y;
  let base = kv_head * params.capacity + params.start;
  let tile = workgroup.x * ${TILE}u;
  ${placeKeys}
  ${EACH.map((j) => `var sum${j}: f32 = 0.0;`).join(" ")}
  // Earlier queries see none of the keys.
  let first_query = max(tile, params.first) - params.first;
  for (var head: u32 = kv_head * params.group; head < (kv_head + 1u) * params.group; head++) {
    for (var query_tile: u32 = first_query; query_tile < params.count; query_tile += ${TILE}u) {
      let own = query_tile + ty * ${SIDE}u;
      ${placeQueries}
      ${products}
      ${
      lines(EACH.map((i) =>
        `{ let statistic = statistics[head * params.count + min(own + ${i}u, params.count - 1u)];
      ${
          EACH.map((j) => `sum${j} += exp(select(LOWEST, s${i}_${j} * params.scale - statistic, key${j} < seen${i}));`)
            .join(" ")
        } }`
      ))
    }
    }
  }
  ${lines(EACH.map((j) => `found[ty * ${TILE}u + tx + ${j * SIDE}u] = sum${j};`))}
  workgroupBarrier();
  let key = tile + thread;
  if (key < params.first + params.count) {
    let sum = ${EACH.map((y) => `found[${y * TILE}u + thread]`).join(" + ")};
    sums[base + key] = select(sums[base + key], 0.0, key >= params.first) + sum * params.weight;
  }
}
`,
  };
}

/** Queries of a prompt whose attention is to be added. */
export interface AttentionSumsShape {
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  readonly headSize: number;
  /** Rows of the keys and of the sums per KV head. */
  readonly capacity: number;
  /** First row of the prompt in the keys buffer. */
  readonly start: number;
  /** First of the queries in the prompt, and in the queries buffer. */
  readonly first: number;
  readonly tileRow: number;
  readonly count: number;
  /** What the attention of each query is divided by: the rows of the whole prompt. */
  readonly length: number;
}

/** Dispatches of the kernels of {@link attentionSums}. */
export function attentionSumsDispatches(
  { kvHeadCount, queryHeadCount, headSize, capacity, start, first, tileRow, count, length }: AttentionSumsShape,
): { readonly statistics: Dispatch; readonly sums: Dispatch } {
  const group = queryHeadCount / kvHeadCount;
  const scale = floatBits(1 / Math.sqrt(headSize));
  const weight = floatBits(1 / (length * group));
  const params = [start, first, count, tileRow, capacity, queryHeadCount, group, scale, weight];
  return {
    statistics: { params, grid: [Math.ceil(count / TILE), queryHeadCount] },
    sums: { params, grid: [Math.ceil((first + count) / TILE), kvHeadCount] },
  };
}
