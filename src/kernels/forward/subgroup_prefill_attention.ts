/**
 * @file Prefill attention where subgroups have eight threads, as on Mesa's software adapter: the same bindings, results and
 * online softmax as prefill_attention.ts, without workgroup memory and barriers.
 *
 * A subgroup takes eight query rows of one head and walks the keys in tiles of 32. Lane x loads row x of the queries and keys
 * x, x + 8, ...; the queries go round by broadcast, so that a lane has the scores of all rows with its own keys:
 *
 *     scores 8 x 32    lane x: 8 rows x keys x + 8 j
 *     softmax          maxima and sums of the lanes are combined by exchange
 *     output 8 x d     lane x: 8 rows x columns 8 x..8 x + 7; the weight of each key comes from the lane that holds it
 *
 * llvmpipe loads lane by lane, which takes as long as sixty products, even from workgroup memory; an exchange takes as long
 * as two. So this attends two to three times as fast there. GPUs have wider subgroups, and loads that several lanes share.
 *
 * Grid: (ceil(m / 64), queryHeads).
 */
import { kvUnitType, loadKvUnit } from "../kv_element.ts";
import { acrossLanes, LANES } from "../lanes.ts";
import type { PrefillAttentionKernel, PrefillAttentionVariant } from "./prefill_attention.ts";

const THREADS = 64;
const KEYS_PER_LANE = 4;

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Generates the kernel of a variant for an adapter whose subgroups have {@link LANES} threads. */
export function subgroupPrefillAttentionKernel(variant: PrefillAttentionVariant): PrefillAttentionKernel {
  const { element, queryHeads, kvHeads, headSize } = variant;
  const rows = range(LANES);
  const keys = range(KEYS_PER_LANE);
  const units = headSize / LANES;
  const vectors = headSize / 4;
  const columns = range(Math.ceil(units / LANES));
  // Lanes that hold different columns are a team; teams share out the keys.
  const team = Math.min(LANES, 2 ** Math.ceil(Math.log2(units)));
  // Lanes without a column load the last one and store nothing.
  const column = (c: number) => `min(lane % ${team}u + ${c * LANES}u, ${units - 1}u)`;
  const outputs = columns.flatMap((c) => [0, 1].map((half) => `${c}_${half}`));
  const stored = kvUnitType(element);
  const lines = (parts: readonly string[]) => parts.join("\n    ");
  return {
    label: `prefill attention subgroups ${element} ${queryHeads}/${kvHeads}x${headSize}`,
    rowsPerWorkgroup: THREADS,
    bindings: ["read", "read", "read", "read", "write"],
    wgsl: `
struct Params { first_row: u32, count: u32, capacity: u32, scale: f32, out_stride4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<${stored}>;
@group(0) @binding(3) var<storage, read> values: array<${stored}>;
@group(0) @binding(4) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>;

// Finite, so that no difference is a NaN.
const LOWEST: f32 = -1e30;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % ${LANES}u;
  let head = workgroup.y;
  let first = workgroup.x * ${THREADS}u + thread / ${LANES}u * ${LANES}u;
  // A whole subgroup at a time.
  if (first >= params.count) { return; }
  let last = min(first + ${LANES}u, params.count) - 1u;
  let base = head / ${queryHeads / kvHeads}u * params.capacity;
  // Prompts are packed in order, so the first row's prompt starts first.
  let key_begin = rows[params.first_row + first].y;
  let key_end = params.first_row + last + 1u;
  let query = (min(first + lane, last) * ${queryHeads}u + head) * ${vectors}u;
  ${
      rows.map((i) =>
        `let m${i} = min(first + ${i}u, last);
  let row${i} = params.first_row + m${i};
  let start${i} = rows[row${i}].y;
  var sum${i}: f32 = 0.0;
  var max${i}: f32 = LOWEST;
  ${outputs.map((name) => `var o${i}_${name}: vec4<f32> = vec4<f32>(0.0);`).join(" ")}`
      ).join("\n  ")
    }
  for (var tile: u32 = key_begin; tile < key_end; tile += ${KEYS_PER_LANE * LANES}u) {
    ${
      lines(keys.map((j) =>
        `let key${j} = tile + lane + ${j * LANES}u;
    let at${j} = (base + min(key${j}, key_end - 1u)) * ${units}u;`
      ))
    }
    ${rows.flatMap((i) => keys.map((j) => `var s${i}_${j}: f32 = 0.0;`)).join(" ")}
    for (var d: u32 = 0u; d < ${units}u; d++) {
      let a = q[query + 2u * d]; let b = q[query + 2u * d + 1u];
      ${lines(keys.map((j) => loadKvUnit(element, `k${j}`, "keys", `at${j} + d`)))}
      ${
      lines(rows.map((i) =>
        `{ let x = subgroupBroadcast(a, ${i}u); let y = subgroupBroadcast(b, ${i}u); ${
          keys.map((j) =>
            `s${i}_${j} += dot(x, k${j}_0) + dot(y, k${j}_1);`
          ).join(" ")
        } }`
      ))
    }
    }
    ${
      lines(rows.map((i) =>
        `${
          keys.map((j) =>
            `s${i}_${j} = select(LOWEST, s${i}_${j} * params.scale, key${j} >= start${i} && key${j} <= row${i});`
          ).join(" ")
        }
    { var top: f32 = max(max${i}, ${keys.map((j) => `s${i}_${j}`).reduce((a, b) => `max(${a}, ${b})`)}); ${
          acrossLanes("top", (a, b) => `max(${a}, ${b})`)
        } let shrink = exp(max${i} - top); max${i} = top; ${
          keys.map((j) => `s${i}_${j} = exp(s${i}_${j} - top);`).join(" ")
        } sum${i} = sum${i} * shrink + ${keys.map((j) => `s${i}_${j}`).join(" + ")}; ${
          outputs.map((name) => `o${i}_${name} *= shrink;`).join(" ")
        } }`
      ))
    }
    for (var step: u32 = 0u; step < ${team}u; step++) {
      let source = step * ${LANES / team}u + lane / ${team}u;
      ${
      lines(keys.map((j) =>
        `{ let value = (base + min(tile + ${j * LANES}u + source, key_end - 1u)) * ${units}u;
      ${lines(columns.map((c) => loadKvUnit(element, `v${c}`, "values", `value + ${column(c)}`)))}
      ${
          lines(rows.map((i) =>
            `{ let p = vec4<f32>(subgroupShuffle(s${i}_${j}, source)); ${
              outputs.map((name) => `o${i}_${name} = fma(p, v${name}, o${i}_${name});`).join(" ")
            } }`
          ))
        } }`
      ))
    }
    }
  }
  ${
      lines(rows.map((i) =>
        `{
    ${acrossLanes(`sum${i}`, (a, b) => `${a} + ${b}`)}
    ${outputs.map((name) => acrossLanes(`o${i}_${name}`, (a, b) => `${a} + ${b}`, team)).join(" ")}
    let at = m${i} * params.out_stride4 + head * ${vectors}u;
    if (first + ${i}u <= last && lane < ${team}u) {
      ${
          columns.map((c) =>
            `if (lane + ${c * LANES}u < ${units}u) { ${
              [0, 1].map((half) =>
                `output[at + 2u * (lane + ${c * LANES}u) + ${half}u] = o${i}_${c}_${half} / sum${i};`
              )
                .join(" ")
            } }`
          ).join("\n      ")
        }
    }
  }`
      ))
    }
}
`,
  };
}
