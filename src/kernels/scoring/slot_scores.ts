/**
 * @file Copies scores of a group of rows of a layer into a slot, or out of it:
 *
 *     scores  [kvHead][capacity]                  row `row + i`
 *     slots   [slot][layer][kvHead][groupRows]    i
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/**
 * Bindings: the source and the target, f32, of which one are the scores and the other the slots.
 * Grid: along `x` a thread for each row; `y` = KV heads.
 */
function slotScores(label: string, copy: string): Kernel {
  return {
    label,
    bindings: ["read", "write"],
    wgsl: `
struct Params { row: u32, count: u32, capacity: u32, place: u32, group_rows: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> destination: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let kv_head = thread.y;
  if (thread.x >= params.count) { return; }
  let in_scores = kv_head * params.capacity + params.row + thread.x;
  let in_slot = (params.place + kv_head) * params.group_rows + thread.x;
  ${copy}
}
`,
  };
}

/** Scores to a slot; see {@link slotScores}. */
export const storeScores = slotScores("store-scores", "destination[in_slot] = source[in_scores];");
/** A slot to scores; see {@link slotScores}. */
export const restoreScores = slotScores("restore-scores", "destination[in_scores] = source[in_slot];");

/** What is copied. */
export interface SlotScoresShape {
  readonly kvHeadCount: number;
  readonly layerCount: number;
  /** Scores of a KV head, and of a slot. */
  readonly capacity: number;
  readonly groupRows: number;
  /** Where it goes or comes from. */
  readonly slot: number;
  readonly layer: number;
  /** First row and number of rows, at most those of a slot. */
  readonly row: number;
  readonly count: number;
}

/** A dispatch of {@link storeScores} or {@link restoreScores}. */
export function slotScoresDispatch(
  { kvHeadCount, layerCount, capacity, groupRows, slot, layer, row, count }: SlotScoresShape,
): Dispatch {
  return {
    params: [row, count, capacity, (slot * layerCount + layer) * kvHeadCount, groupRows],
    grid: [Math.ceil(count / THREADS), kvHeadCount],
  };
}
