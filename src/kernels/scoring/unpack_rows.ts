/**
 * @file Copies all rows of a layer out of its cache blocks into a scratch, the inverse of gather_rows.ts.
 *
 *     block    [kvHead][key = 0 | value = 1][BLOCK_ROWS][headSize], block b starting b blocks into the arena
 *     scratch  [kvHead][capacity][headSize], keys and values apart: the ranked rows, then the recent ones
 *
 * Recent rows start in a block of their own; the `first` rows can be left out:
 *
 *     row start + r  ->  i = first + r
 *     i  ->  i < ranked ? i : ceil(ranked / 16) * 16 + (i - ranked)  ->  block table[. / 16], slot . % 16
 */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { type KvElement, kvVec4Type } from "../kv_element.ts";

const THREADS = 256;

/**
 * Bindings: arena, KV elements; table u32, all block tables; keys and values, KV elements `[kvHead][capacity][headSize]`, of
 * which `ranked + recent - first` rows of each head are written, from row `start` on.
 * Grid: along `x` a thread for four neighbouring elements of a row; `y` = KV heads.
 */
export function unpackRows(element: KvElement): Kernel {
  return {
    label: `unpack-rows-${element}`,
    bindings: ["read", "read", "write", "write"],
    wgsl: `
struct Params {
  ranked: u32, rows: u32, table_offset: u32, kv_heads: u32, quads: u32, capacity: u32, start: u32, first: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> arena: array<${kvVec4Type(element)}>;
@group(0) @binding(2) var<storage, read> block_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(4) var<storage, read_write> values: array<${kvVec4Type(element)}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let row = thread.x / params.quads;
  let quad = thread.x % params.quads;
  let kv_head = thread.y;
  if (row >= params.rows) { return; }
  let ranked_slots = (params.ranked + ${BLOCK_ROWS - 1}u) / ${BLOCK_ROWS}u * ${BLOCK_ROWS}u;
  let held = params.first + row;
  let slot = select(held + ranked_slots - params.ranked, held, held < params.ranked);
  let block = block_table[params.table_offset + slot / ${BLOCK_ROWS}u];
  let head_keys = (block * params.kv_heads + kv_head) * 2u;
  let source = (head_keys * ${BLOCK_ROWS}u + slot % ${BLOCK_ROWS}u) * params.quads + quad;
  let destination = (kv_head * params.capacity + params.start + row) * params.quads + quad;
  keys[destination] = arena[source];
  values[destination] = arena[source + ${BLOCK_ROWS}u * params.quads];
}
`,
  };
}

/** What {@link unpackRows} copies. */
export interface UnpackRowsShape {
  readonly kvHeadCount: number;
  readonly headSize: number;
  /** Rows of the keys and values buffers per KV head. */
  readonly capacity: number;
  /** Row of the buffers that the first row goes to. */
  readonly start: number;
  /** Rows in the ranked blocks, and in the recent ones behind them. */
  readonly ranked: number;
  readonly recent: number;
  /** Rows, of these, to leave out; none if not given. */
  readonly first?: number;
  /** Entry of the table with the layer's first block. */
  readonly tableOffset: number;
}

/** A dispatch of {@link unpackRows}. */
export function unpackRowsDispatch(
  { kvHeadCount, headSize, capacity, start, ranked, recent, first = 0, tableOffset }: UnpackRowsShape,
): Dispatch {
  const rows = ranked + recent - first;
  const quads = headSize / 4;
  return {
    params: [ranked, rows, tableOffset, kvHeadCount, quads, capacity, start, first],
    grid: [Math.ceil(rows * quads / THREADS), kvHeadCount],
  };
}
