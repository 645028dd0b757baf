/** @file Puts a given token in the place of the one that was drawn, for sequences that are told how they go on. */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { RESULT_WORDS, SAMPLING_STRUCT, USES_COUNTS } from "./sampling_record.ts";

const THREADS = 64;

/**
 * Bindings:
 * 1. rows vec4 u32 `[rows]`: slot, position at step 0, first table entry, given tokens ahead at step 0 (0: none)
 * 2. continuations u32 `[slots, positions]`: the given tokens, each at its position
 * 3. sampling `[slots]` of `SAMPLING_BYTES`
 * 4. results u32 `[steps, maxRows, RESULT_WORDS]`: what was drawn; stays as it is
 * 5. tokens u32 `[slots]`: receives the given token, for the next step's embedding
 * 6. counts u32 `[slots, stride]`: the given token is counted instead of the drawn one, only in slots that use counts
 *
 * Runs behind `sample`. Grid: a thread for each row.
 */
export const forcedTokens: Kernel = {
  label: "forced-tokens",
  bindings: ["read", "read", "read", "read", "write", "write"],
  wgsl: `
struct Params { rows: u32, positions: u32, stride: u32, step: u32, max_rows: u32 }
${SAMPLING_STRUCT}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> continuations: array<u32>;
@group(0) @binding(3) var<storage, read> sampling: array<Sampling>;
@group(0) @binding(4) var<storage, read> results: array<u32>;
@group(0) @binding(5) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(6) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.rows) { return; }
  let row = rows[thread.x];
  let slot = row.x;
  if (params.step >= row.w) { return; }
  let token = continuations[slot * params.positions + row.y + params.step + 1u];
  tokens[slot] = token;
  if ((sampling[slot].flags & ${USES_COUNTS}u) != 0u) {
    let drawn = results[(params.step * params.max_rows + thread.x) * ${RESULT_WORDS}u];
    counts[slot * params.stride + drawn] -= 1u;
    counts[slot * params.stride + token] += 1u;
  }
}
`,
};

/** The rows whose tokens {@link forcedTokens} may put in place. */
export interface ForcedTokensShape {
  readonly rows: number;
  /** Entries of a slot's continuation. */
  readonly positions: number;
  /** Elements of a slot's counts. */
  readonly stride: number;
  /** Decode step inside the submit. */
  readonly step: number;
  /** Rows of a block of result records. */
  readonly maxRows: number;
}

/** A dispatch of {@link forcedTokens}. */
export function forcedTokensDispatch({ rows, positions, stride, step, maxRows }: ForcedTokensShape): Dispatch {
  return { params: [rows, positions, stride, step, maxRows], grid: [Math.ceil(rows / THREADS)] };
}
