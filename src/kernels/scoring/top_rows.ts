/**
 * @file The positions of the highest scores of each KV head, in descending order of score, ties by lower position.
 *
 * One workgroup per KV head, in three stages on keys `~bits(score)`, which ascend as positive scores descend:
 *
 *   1. radix select: three passes over the scores find, 11, 11 and 10 bits at a time, the key of the last row to keep
 *      and how many rows with exactly that key are kept;
 *   2. compaction: the rows to keep, in order of position;
 *   3. a stable radix sort of those, 3 bits at a time from the lowest. Every thread owns a contiguous run of rows and
 *      its own column of counts, so equal keys stay in order of position.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;
/** Counters of the workgroup: the bins of an 11-bit digit, or one for each 3-bit digit and thread. */
const COUNTERS = 2048;
const COUNTERS_PER_THREAD = COUNTERS / THREADS;
/** Digits of the radix select, highest first: together 32 bits. */
const SELECT_DIGITS = [{ shift: 21, width: 11 }, { shift: 10, width: 11 }, { shift: 0, width: 10 }];
const SORT_DIGIT_BITS = 3;
const SORT_PASSES = Math.ceil(32 / SORT_DIGIT_BITS);

const selectPass = ({ shift, width }: { shift: number; width: number }) => `
  clear_counters(thread);
  workgroupBarrier();
  for (var j: u32 = thread; j < params.length; j += ${THREADS}u) {
    let key = ~scores[row + j];
    if (${shift + width === 32 ? "true" : `(key >> ${shift + width}u) == threshold`}) {
      atomicAdd(&counters[(key >> ${shift}u) & ${2 ** width - 1}u], 1u);
    }
  }
  workgroupBarrier();
  scan_counters(thread);
  for (var i: u32 = 0u; i < ${COUNTERS_PER_THREAD}u; i++) {
    let bin = thread * ${COUNTERS_PER_THREAD}u + i;
    let before = atomicLoad(&counters[bin]);
    var after: u32 = params.length;
    if (bin < ${COUNTERS - 1}u) { after = atomicLoad(&counters[bin + 1u]); }
    if (before < wanted && wanted <= after) { chosen = vec2<u32>(bin, before); }
  }
  workgroupBarrier();
  threshold = (threshold << ${width}u) | chosen.x;
  wanted -= chosen.y;
  workgroupBarrier();
`;

/**
 * Bindings: scores f32 `[kvHead][scoreCapacity]`, not negative; survivors, scratch of {@link topRowsScratchBytes};
 * indices u32 `[kvHead][indexCapacity]`, of which the first `count` of each head are written.
 * Grid: one workgroup per KV head.
 */
export const topRows: Kernel = {
  label: "top-rows",
  bindings: ["read", "write", "write"],
  wgsl: `
struct Params { length: u32, count: u32, score_capacity: u32, index_capacity: u32 }
struct Survivor { key: u32, position: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<u32>;
// [kvHead][2][index_capacity]: the sort goes back and forth between the halves.
@group(0) @binding(2) var<storage, read_write> survivors: array<Survivor>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

var<workgroup> counters: array<atomic<u32>, ${COUNTERS}>;
var<workgroup> totals: array<u32, ${THREADS}>;
var<workgroup> chosen: vec2<u32>;

// Sum of the values of all lower threads.
fn sum_below(thread: u32, value: u32) -> u32 {
  totals[thread] = value;
  workgroupBarrier();
  for (var distance: u32 = 1u; distance < ${THREADS}u; distance <<= 1u) {
    var below: u32 = 0u;
    if (thread >= distance) { below = totals[thread - distance]; }
    workgroupBarrier();
    totals[thread] += below;
    workgroupBarrier();
  }
  return totals[thread] - value;
}

fn clear_counters(thread: u32) {
  for (var i: u32 = 0u; i < ${COUNTERS_PER_THREAD}u; i++) { atomicStore(&counters[i * ${THREADS}u + thread], 0u); }
}

// Replaces every counter by the sum of all before it.
fn scan_counters(thread: u32) {
  let first = thread * ${COUNTERS_PER_THREAD}u;
  var sum: u32 = 0u;
  for (var i: u32 = 0u; i < ${COUNTERS_PER_THREAD}u; i++) { sum += atomicLoad(&counters[first + i]); }
  var before: u32 = sum_below(thread, sum);
  for (var i: u32 = 0u; i < ${COUNTERS_PER_THREAD}u; i++) {
    let count = atomicLoad(&counters[first + i]);
    atomicStore(&counters[first + i], before);
    before += count;
  }
  workgroupBarrier();
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = group.x;
  let row = kv_head * params.score_capacity;

  // Select: "threshold" grows digit by digit; "wanted" is the rank of the last row to keep among the keys that share it.
  var threshold: u32 = 0u;
  var wanted: u32 = params.count;
  ${SELECT_DIGITS.map(selectPass).join("")}

  // Compact: every thread walks its own run of positions.
  let half = kv_head * 2u * params.index_capacity;
  {
    let run = (params.length + ${THREADS - 1}u) / ${THREADS}u;
    let first = min(thread * run, params.length);
    let end = min(first + run, params.length);
    var higher: u32 = 0u;
    var equal: u32 = 0u;
    for (var j: u32 = first; j < end; j++) {
      let key = ~scores[row + j];
      higher += select(0u, 1u, key < threshold);
      equal += select(0u, 1u, key == threshold);
    }
    let higher_below = sum_below(thread, higher);
    var equal_below: u32 = sum_below(thread, equal);
    var slot: u32 = half + higher_below + min(equal_below, wanted);
    for (var j: u32 = first; j < end; j++) {
      let key = ~scores[row + j];
      if (key < threshold || (key == threshold && equal_below < wanted)) {
        survivors[slot] = Survivor(key, j);
        slot++;
      }
      equal_below += select(0u, 1u, key == threshold);
    }
  }
  storageBarrier();
  workgroupBarrier();

  // Sort: counters are [digit][thread].
  let run = (params.count + ${THREADS - 1}u) / ${THREADS}u;
  let first = min(thread * run, params.count);
  let end = min(first + run, params.count);
  for (var pass_index: u32 = 0u; pass_index < ${SORT_PASSES}u; pass_index++) {
    let shift = pass_index * ${SORT_DIGIT_BITS}u;
    let source = half + (pass_index & 1u) * params.index_capacity;
    let destination = half + (~pass_index & 1u) * params.index_capacity;
    clear_counters(thread);
    for (var i: u32 = first; i < end; i++) {
      let digit = (survivors[source + i].key >> shift) & ${2 ** SORT_DIGIT_BITS - 1}u;
      atomicAdd(&counters[digit * ${THREADS}u + thread], 1u);
    }
    workgroupBarrier();
    scan_counters(thread);
    for (var i: u32 = first; i < end; i++) {
      let survivor = survivors[source + i];
      let digit = (survivor.key >> shift) & ${2 ** SORT_DIGIT_BITS - 1}u;
      let rank = atomicAdd(&counters[digit * ${THREADS}u + thread], 1u);
      if (pass_index < ${SORT_PASSES - 1}u) {
        survivors[destination + rank] = survivor;
      } else {
        indices[kv_head * params.index_capacity + rank] = survivor.position;
      }
    }
    storageBarrier();
    workgroupBarrier();
  }
}
`,
};

/** The scores that {@link topRows} ranks. */
export interface TopRowsShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly length: number;
  /** Rows to keep, 1 to `length`. */
  readonly count: number;
  /** Scores from one KV head to the next. */
  readonly scoreCapacity: number;
  /** Indices from one KV head to the next; at least `count`. */
  readonly indexCapacity: number;
}

/** A dispatch of {@link topRows}. */
export function topRowsDispatch(
  { kvHeadCount, length, count, scoreCapacity, indexCapacity }: TopRowsShape,
): Dispatch {
  return { params: [length, count, scoreCapacity, indexCapacity], grid: [kvHeadCount] };
}

/** Bytes of the scratch: two lists of (key, position) for each KV head. */
export function topRowsScratchBytes(kvHeadCount: number, indexCapacity: number): number {
  return kvHeadCount * 2 * indexCapacity * 8;
}
