/**
 * @file Attention of one new row per sequence over its paged cache, split over rows (flash-decoding), in two kernels.
 *
 * `split`: a workgroup takes one KV head of one sequence and up to 256 of its rows, found through the block table, and
 * serves up to four of the query heads that share the KV head from one read of K and V. Rows are counted densely: the
 * ranked ones, then the recent ones, which start in a block of their own.
 *
 *     row r  ->  r < ranked ? r : ceil(ranked / 16) * 16 + (r - ranked)  ->  block table[. / 16], row . % 16 of slot h
 *
 * In a packed layer (see cache/sequence_cache.ts) a head has ranked rows of its own number, and its slots follow each other:
 *
 *     ranked row r  ->  slot first + r / 16 of all the table's slots, row r % 16
 *
 * `merge`: combines the splits of each query head by their maxima and sums. With one split, `split` writes the result
 * itself and `merge` is not dispatched.
 *
 * Bindings of split: q f32 `[m, queryHeads * headSize]`; rows vec4<u32> `[m]` (slot, position, table offset, 0);
 * layerRows vec2<u32> `[layer, m]` (ranked, recent; PACKED | ranked blocks, recent); tables u32, each `[tableStride]` (block
 * ids, and at the end (first slot, ranked rows) of every KV head, which count in packed layers only); arena; partials f32 `[m, queryHeads, splits, headSize]`; stats vec2
 * `[m, queryHeads, splits]` (maximum, sum); output f32 `[m, outStride]`. Grid: (kvHeads * chunks, splits, m).
 *
 * Bindings of merge: partials; stats; output. Grid: (queryHeads, m).
 */
import { BLOCK_ROWS, HEAD_WORDS, PACKED } from "../../cache/block.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

/** Cache rows per split. */
export const SPLIT_ROWS = 256;
/** Values of all threads are reduced in two steps: runs of this many, then the results of the runs. */
const RUN = 8;
/** Query vectors that a thread keeps in registers at most. */
const HELD_VECTORS = 16;
/** Query heads served by one read of K and V; limits workgroup memory to 11 KiB. */
const MAX_HEADS = 4;

export interface DecodeAttentionVariant {
  readonly element: KvElement;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);
const run = (array: string, first: string, length: number) => range(length).map((i) => `${array}[${first} + ${i}u]`);
const maximum = (terms: readonly string[]) => terms.reduce((a, b) => `max(${a}, ${b})`);
const sum = (terms: readonly string[]) => terms.join(" + ");

/** Threads of a workgroup: fewer in small heads, where rows are soon done and what a workgroup costs by itself counts. */
function threadsFor(headSize: number): number {
  return headSize <= 16 ? 16 : headSize <= 32 ? 32 : 64;
}

/** Query heads of a group that one workgroup serves: the largest divisor of the group up to four. */
export function headsPerWorkgroup(
  { queryHeads, kvHeads }: Pick<DecodeAttentionVariant, "queryHeads" | "kvHeads">,
): number {
  let heads = Math.min(MAX_HEADS, queryHeads / kvHeads);
  while (queryHeads / kvHeads % heads !== 0) heads--;
  return heads;
}

/** Declares parameters and bindings of the split kernel; the arena holds `stored`. */
export function splitDeclarations(stored: string): string {
  return `
struct Params { layer: u32, step: u32, count_max: u32, table_stride: u32, splits: u32, scale: f32, out_stride4: u32, first_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> layer_rows: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read> arena: array<${stored}>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> output: array<vec4<f32>>;
`;
}

/**
 * The start of the split kernel's `main`, where `workgroup` and `thread` are known: the sequence `m`, the first of its query
 * heads `head`, the `count` rows from `begin`, and `stat`, where the first head's statistics go.
 */
export function splitBegin(variant: DecodeAttentionVariant): string {
  const { queryHeads, kvHeads } = variant;
  const heads = headsPerWorkgroup(variant);
  const chunks = queryHeads / kvHeads / heads;
  return `
  let m = params.first_row + workgroup.z;
  let kv_head = workgroup.x / ${chunks}u;
  let head = kv_head * ${heads * chunks}u + workgroup.x % ${chunks}u * ${heads}u;
  let info = rows[m];
  let lengths = layer_rows[params.layer * params.count_max + m];
  let table = info.z + params.layer * params.table_stride;
  let is_packed = (lengths.x & ${PACKED}u) != 0u;
  var ranked: u32 = lengths.x;
  var ranked_blocks: u32 = (ranked + ${BLOCK_ROWS - 1}u) / ${BLOCK_ROWS}u;
  var first_slot: u32 = 0u;
  if (is_packed) {
    let head_words = table + params.table_stride - ${HEAD_WORDS}u * (${kvHeads}u - kv_head);
    ranked_blocks = lengths.x & ~${PACKED}u;
    first_slot = tables[head_words];
    ranked = tables[head_words + 1u];
  }
  // The row written in this step counts too.
  let total = ranked + lengths.y + params.step + 1u;
  // Wraps around where a packed head has more slots than there are blocks.
  let gap = ranked_blocks * ${BLOCK_ROWS}u - ranked;
  let begin = workgroup.y * ${SPLIT_ROWS}u;
  let stat = (m * ${queryHeads}u + head) * params.splits + workgroup.y;
  if (begin >= total) {
    // Nothing here: a weight of zero for \`merge\`.
    if (thread < ${heads}u) { stats[stat + thread * params.splits] = vec2<f32>(-1e30, 0.0); }
    return;
  }
  let count = min(total - begin, ${SPLIT_ROWS}u);`;
}

/** Defines `at`, where the keys of row `dense` begin, counted in pieces of which a head has `pieces`; values follow after a block of keys. */
export function splitRow({ kvHeads }: DecodeAttentionVariant, pieces: number): string {
  return `
    let row = select(dense + gap, dense, dense < ranked);
    var entry: u32 = row / ${BLOCK_ROWS}u;
    var slot: u32 = kv_head;
    if (is_packed && dense < ranked) {
      slot = (first_slot + entry) % ${kvHeads}u;
      entry = (first_slot + entry) / ${kvHeads}u;
    }
    let at = ((tables[table + entry] * ${kvHeads}u + slot) * ${2 * BLOCK_ROWS}u + row % ${BLOCK_ROWS}u) * ${pieces}u;`;
}

/** Generates the split kernel of a variant. */
export function decodeAttentionKernel(variant: DecodeAttentionVariant): Kernel {
  const { element, queryHeads, kvHeads, headSize } = variant;
  const vectors = headSize / 4;
  const heads = headsPerWorkgroup(variant);
  const threads = threadsFor(headSize);
  const runs = threads / RUN;
  // Few enough query vectors stay in registers.
  const isHeld = heads * vectors <= HELD_VECTORS;
  // Threads beyond whole sets of columns have no part in the weighted sum of values.
  const sets = Math.floor(threads / vectors);
  return {
    label: `decode attention ${element} ${queryHeads}/${kvHeads}x${headSize}`,
    bindings: ["read", "read", "read", "read", "read", "write", "write", "write"],
    wgsl: `
${splitDeclarations(kvVec4Type(element))}
// Where the keys of a row begin; values follow after a block of keys.
var<workgroup> places: array<u32, ${SPLIT_ROWS}>;
// [head][row]: scores, then their exponentials.
var<workgroup> weights: array<f32, ${heads * SPLIT_ROWS}>;
// [head][thread]: maxima, then sums; and of every run of threads.
var<workgroup> partial: array<f32, ${heads * threads}>;
var<workgroup> maxima: array<f32, ${heads * runs}>;
var<workgroup> sums: array<f32, ${heads * runs}>;
var<workgroup> weighted: array<vec4<f32>, ${heads * threads}>;
${kvFunctions(element)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {${
      splitBegin(variant)
    }
  let query = (m * ${queryHeads}u + head) * ${vectors}u;
  ${isHeld ? range(heads * vectors).map((i) => `let q${i} = q[query + ${i}u];`).join(" ") : ""}

  ${range(heads).map((h) => `var max${h}: f32 = -1e30;`).join(" ")}
  for (var r: u32 = thread; r < count; r += ${threads}u) {
    let dense = begin + r;${splitRow(variant, vectors)}
    places[r] = at;
    ${range(heads).map((h) => `var s${h}: f32 = 0.0;`).join(" ")}
    ${
      isHeld
        ? range(vectors).map((d) =>
          `{ let k = load_kv(arena[at + ${d}u]); ${
            range(heads).map((h) => `s${h} += dot(q${h * vectors + d}, k);`).join(" ")
          } }`
        ).join("\n    ")
        : `for (var d: u32 = 0u; d < ${vectors}u; d++) {
      let k = load_kv(arena[at + d]);
      ${range(heads).map((h) => `s${h} += dot(q[query + ${h * vectors}u + d], k);`).join(" ")}
    }`
    }
    ${
      range(heads).map((h) =>
        `s${h} *= params.scale; weights[${h * SPLIT_ROWS}u + r] = s${h}; max${h} = max(max${h}, s${h});`
      ).join("\n    ")
    }
  }
  ${range(heads).map((h) => `partial[${h * threads}u + thread] = max${h};`).join(" ")}
  workgroupBarrier();
  if (thread < ${heads * runs}u) { maxima[thread] = ${maximum(run("partial", `thread * ${RUN}u`, RUN))}; }
  workgroupBarrier();

  ${range(heads).map((h) => `max${h} = ${maximum(run("maxima", `${h * runs}u`, runs))};`).join("\n  ")}
  ${range(heads).map((h) => `var sum${h}: f32 = 0.0;`).join(" ")}
  for (var r: u32 = thread; r < count; r += ${threads}u) {
    ${
      range(heads).map((h) =>
        `{ let p = exp(weights[${h * SPLIT_ROWS}u + r] - max${h}); weights[${h * SPLIT_ROWS}u + r] = p; sum${h} += p; }`
      ).join("\n    ")
    }
  }
  ${range(heads).map((h) => `partial[${h * threads}u + thread] = sum${h};`).join(" ")}
  workgroupBarrier();
  if (thread < ${heads * runs}u) { sums[thread] = ${sum(run("partial", `thread * ${RUN}u`, RUN))}; }

  let column = thread % ${vectors}u;
  ${range(heads).map((h) => `var o${h}: vec4<f32> = vec4<f32>(0.0);`).join(" ")}
  if (thread < ${sets * vectors}u) {
    for (var r: u32 = thread / ${vectors}u; r < count; r += ${sets}u) {
      let v = load_kv(arena[places[r] + ${BLOCK_ROWS * vectors}u + column]);
      ${range(heads).map((h) => `o${h} += weights[${h * SPLIT_ROWS}u + r] * v;`).join(" ")}
    }
  }
  ${range(heads).map((h) => `weighted[${h * threads}u + thread] = o${h};`).join(" ")}
  workgroupBarrier();
  for (var i: u32 = thread; i < ${heads * vectors}u; i += ${threads}u) {
    let h = i / ${vectors}u;
    let d = i % ${vectors}u;
    var value: vec4<f32> = vec4<f32>(0.0);
    for (var s: u32 = 0u; s < ${sets}u; s++) { value += weighted[h * ${threads}u + s * ${vectors}u + d]; }
    let total_weight = ${sum(run("sums", `h * ${runs}u`, runs))};
    if (params.splits == 1u) {
      output[m * params.out_stride4 + head * ${vectors}u + i] = value / total_weight;
      continue;
    }
    partials[(stat + h * params.splits) * ${vectors}u + d] = value;
    if (d == 0u) {
      stats[stat + h * params.splits] = vec2<f32>(${maximum(run("maxima", `h * ${runs}u`, runs))}, total_weight);
    }
  }
}
`,
  };
}

/** Generates the merge kernel of a variant. */
export function mergeSplitsKernel({ queryHeads, headSize }: DecodeAttentionVariant): Kernel {
  const vectors = headSize / 4;
  return {
    label: `merge splits ${queryHeads}x${headSize}`,
    bindings: ["read", "read", "write"],
    wgsl: `
struct Params { splits: u32, out_stride4: u32, first_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(${Math.max(vectors, RUN)})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  if (thread >= ${vectors}u) { return; }
  let head = workgroup.x;
  let m = params.first_row + workgroup.y;
  let stat = (m * ${queryHeads}u + head) * params.splits;
  var top: f32 = -1e30;
  for (var s: u32 = 0u; s < params.splits; s++) { top = max(top, stats[stat + s].x); }
  var sum: f32 = 0.0;
  var value: vec4<f32> = vec4<f32>(0.0);
  for (var s: u32 = 0u; s < params.splits; s++) {
    let split = stats[stat + s];
    // An empty split has written no partial.
    if (split.y > 0.0) {
      let weight = exp(split.x - top);
      sum += weight * split.y;
      value += weight * partials[(stat + s) * ${vectors}u + thread];
    }
  }
  output[m * params.out_stride4 + head * ${vectors}u + thread] = value / sum;
}
`,
  };
}

/** What the kernels of decode attention attend to. */
export interface DecodeAttentionShape {
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly layer: number;
  /** Steps of this submit before this one. */
  readonly step: number;
  /** First of the batch rows that are served. */
  readonly firstRow: number;
  /** Batch rows that are served. */
  readonly count: number;
  /** Row length of layerRows: batch rows per layer. */
  readonly countMax: number;
  /** Words of the tables per layer. */
  readonly tableStride: number;
  /** Lots of {@link SPLIT_ROWS} that the longest sequence takes. */
  readonly splits: number;
  /** Elements between rows of the output; a multiple of 4. */
  readonly outStride: number;
}

/** Dispatches of a {@link decodeAttentionKernel} and then, where there are several splits, a {@link mergeSplitsKernel}. */
export function decodeAttentionDispatches(
  shape: DecodeAttentionShape,
): { readonly split: Dispatch; readonly merge: Dispatch | null } {
  const { queryHeads, layer, step, firstRow, count, countMax, tableStride, splits, outStride } = shape;
  const scale = floatBits(1 / Math.sqrt(shape.headSize));
  return {
    split: {
      params: [layer, step, countMax, tableStride, splits, scale, outStride / 4, firstRow],
      grid: [queryHeads / headsPerWorkgroup(shape), splits, count],
    },
    merge: splits === 1 ? null : { params: [splits, outStride / 4, firstRow], grid: [queryHeads, count] },
  };
}
