/**
 * @file Copies key and value rows of a layer's scratch into cache blocks.
 *
 *     scratch  [kvHead][capacity][headSize], keys and values apart
 *     block    [kvHead][key = 0 | value = 1][BLOCK_ROWS][headSize], block b starting b blocks into the arena
 *
 * Destination row r is slot `s = slot + r`: row `s % BLOCK_ROWS` of block `table[tableOffset + s / BLOCK_ROWS]`. Its source is row
 * `start + r` in every KV head, or row `start + indices[kvHead][r]` where the rows are ranked: then each head puts a
 * token of its own into the same slot.
 */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { type KvElement, kvVec4Type } from "../kv_element.ts";

const THREADS = 256;

/**
 * Bindings: keys and values, KV elements `[kvHead][capacity][headSize]`; indices u32 `[kvHead][indexCapacity]`; table
 * u32, all block tables; arena, KV elements.
 * Grid: along `x` a thread for four neighbouring elements of a row; `y` = KV heads.
 */
export function gatherRows(element: KvElement): Kernel {
  return {
    label: `gather-rows-${element}`,
    bindings: ["read", "read", "read", "read", "write"],
    wgsl: `
struct Params {
  start: u32, count: u32, table_offset: u32, is_ranked: u32,
  kv_heads: u32, quads: u32, capacity: u32, index_capacity: u32, slot: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(2) var<storage, read> values: array<${kvVec4Type(element)}>;
@group(0) @binding(3) var<storage, read> indices: array<u32>;
@group(0) @binding(4) var<storage, read> block_table: array<u32>;
@group(0) @binding(5) var<storage, read_write> arena: array<${kvVec4Type(element)}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let row = thread.x / params.quads;
  let quad = thread.x % params.quads;
  let kv_head = thread.y;
  if (row >= params.count) { return; }
  var position: u32 = row;
  if (params.is_ranked != 0u) { position = indices[kv_head * params.index_capacity + row]; }
  let source = (kv_head * params.capacity + params.start + position) * params.quads + quad;
  let slot = params.slot + row;
  let block = block_table[params.table_offset + slot / ${BLOCK_ROWS}u];
  let head_keys = (block * params.kv_heads + kv_head) * 2u;
  let destination = (head_keys * ${BLOCK_ROWS}u + slot % ${BLOCK_ROWS}u) * params.quads + quad;
  arena[destination] = keys[source];
  arena[destination + ${BLOCK_ROWS}u * params.quads] = values[source];
}
`,
  };
}

/** What {@link gatherRows} copies. */
export interface GatherRowsShape {
  readonly kvHeadCount: number;
  readonly headSize: number;
  /** Rows of the keys and values buffers per KV head. */
  readonly capacity: number;
  /** Entries of the indices buffer per KV head. */
  readonly indexCapacity: number;
  /** Whether the sources are listed in the indices buffer, relative to `start`. */
  readonly isRanked: boolean;
  /** First source row, or the row that index 0 means. */
  readonly start: number;
  /** Rows to copy. */
  readonly count: number;
  /** Entry of the table with the block of slot 0. */
  readonly tableOffset: number;
  /** Slot of destination row 0; 0 if not given. */
  readonly slot?: number;
}

/** A dispatch of {@link gatherRows}. */
export function gatherRowsDispatch(
  { kvHeadCount, headSize, capacity, indexCapacity, isRanked, start, count, tableOffset, slot = 0 }: GatherRowsShape,
): Dispatch {
  const quads = headSize / 4;
  return {
    params: [start, count, tableOffset, isRanked ? 1 : 0, kvHeadCount, quads, capacity, indexCapacity, slot],
    grid: [Math.ceil(count * quads / THREADS), kvHeadCount],
  };
}
