/**
 * @file Copies slots of an arena to other slots: what is left of a layer's heads moves into fewer blocks.
 *
 *     arena  [slot][key = 0 | value = 1][BLOCK_ROWS][headSize], see cache/block.ts
 */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { type KvElement, kvVec4Type } from "../kv_element.ts";

const THREADS = 256;

/** Slots that one dispatch moves at most: a dimension of a grid is at most 65,535 workgroups. */
export const MOST_MOVES = 16384;

/**
 * Bindings: moves vec2<u32> `[move]` (source slot, target slot), no slot being both; arena, KV elements.
 * Grid: along `x` a thread for four neighbouring elements of a slot; `y` = moves.
 */
export function moveSlots(element: KvElement): Kernel {
  return {
    label: `move-slots-${element}`,
    bindings: ["read", "write"],
    wgsl: `
struct Params { first_move: u32, slot_quads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> moves: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> arena: array<${kvVec4Type(element)}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.slot_quads) { return; }
  let slots = moves[params.first_move + thread.y];
  arena[slots.y * params.slot_quads + thread.x] = arena[slots.x * params.slot_quads + thread.x];
}
`,
  };
}

/** The slots that {@link moveSlots} moves. */
export interface MoveSlotsShape {
  readonly headSize: number;
  /** First of the moves in the list. */
  readonly firstMove: number;
  /** Slots to move, at most {@link MOST_MOVES}. */
  readonly count: number;
}

/** A dispatch of {@link moveSlots}. */
export function moveSlotsDispatch({ headSize, firstMove, count }: MoveSlotsShape): Dispatch {
  const slotQuads = 2 * BLOCK_ROWS * headSize / 4;
  return { params: [firstMove, slotQuads], grid: [Math.ceil(slotQuads / THREADS), count] };
}
