/**
 * @file The split kernel of decode_attention.ts where subgroups have eight threads, as on Mesa's software adapter: the same
 * bindings, grid and results, without workgroup memory and barriers. Why that is faster there, says
 * subgroup_prefill_attention.ts.
 *
 * A workgroup is one subgroup. It walks its rows in tiles of 32 with an online softmax; the query heads that share the KV
 * head are served together, from one load of each element of K and V:
 *
 *     queries          lane x: units x, x + 8, ... of every head; they go round by broadcast
 *     scores h x 32    lane x: all heads x rows x + 8 j
 *     output h x d     lane x: all heads x columns 8 x..8 x + 7; the weight of each row comes from the lane that holds it
 */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import {
  type DecodeAttentionVariant,
  headsPerWorkgroup,
  splitBegin,
  splitDeclarations,
  splitRow,
} from "./decode_attention.ts";
import { kvUnitType, loadKvUnit } from "../kv_element.ts";
import { acrossLanes, LANES } from "../lanes.ts";

const ROWS_PER_LANE = 4;

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Generates the split kernel of a variant for an adapter whose subgroups have {@link LANES} threads. */
export function subgroupDecodeAttentionKernel(variant: DecodeAttentionVariant): Kernel {
  const { element, queryHeads, kvHeads, headSize } = variant;
  const heads = range(headsPerWorkgroup(variant));
  const rows = range(ROWS_PER_LANE);
  const units = headSize / LANES;
  const vectors = headSize / 4;
  // Units of the head that a lane owns, at most; lanes without a further one load the last and store nothing.
  const owned = range(Math.ceil(units / LANES));
  // Lanes that own different units are a team; teams share out the rows.
  const team = Math.min(LANES, 2 ** Math.ceil(Math.log2(units)));
  const unit = (c: number) => `min(lane % ${team}u + ${c * LANES}u, ${units - 1}u)`;
  const outputs = owned.flatMap((c) => [0, 1].map((half) => `${c}_${half}`));
  const lines = (parts: readonly string[]) => parts.join("\n    ");
  return {
    label: `decode attention subgroups ${element} ${queryHeads}/${kvHeads}x${headSize}`,
    bindings: ["read", "read", "read", "read", "read", "write", "write", "write"],
    wgsl: `
${splitDeclarations(kvUnitType(element))}
// Finite, so that no difference is a NaN.
const LOWEST: f32 = -1e30;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread;${splitBegin(variant)}
  ${
      lines(heads.flatMap((h) =>
        owned.map((c) =>
          `let q${h}_${c} = (m * ${queryHeads}u + head + ${h}u) * ${vectors}u + 2u * ${unit(c)};
    let q${h}_${c}_0 = q[q${h}_${c}]; let q${h}_${c}_1 = q[q${h}_${c} + 1u];`
        )
      ))
    }
  ${
      lines(heads.map((h) =>
        `var sum${h}: f32 = 0.0; var max${h}: f32 = LOWEST; ${
          outputs.map((name) => `var o${h}_${name}: vec4<f32> = vec4<f32>(0.0);`).join(" ")
        }`
      ))
    }
  for (var tile: u32 = 0u; tile < count; tile += ${ROWS_PER_LANE * LANES}u) {
    ${rows.map((j) => `var at${j}: u32 = 0u; `).join("")}
    ${
      lines(rows.map((j) =>
        `{ let dense = begin + min(tile + lane + ${j * LANES}u, count - 1u);${splitRow(variant, units)}
      at${j} = at; }`
      ))
    }
    ${heads.flatMap((h) => rows.map((j) => `var s${h}_${j}: f32 = 0.0;`)).join(" ")}
    ${
      lines(owned.map((c) =>
        `for (var d: u32 = 0u; d < ${Math.min(LANES, units - c * LANES)}u; d++) {
      ${lines(rows.map((j) => loadKvUnit(element, `k${j}`, "arena", `at${j} + ${c * LANES}u + d`)))}
      ${
          lines(heads.map((h) =>
            `{ let a = subgroupShuffle(q${h}_${c}_0, d); let b = subgroupShuffle(q${h}_${c}_1, d); ${
              rows.map((j) => `s${h}_${j} += dot(a, k${j}_0) + dot(b, k${j}_1);`).join(" ")
            } }`
          ))
        }
    }`
      ))
    }
    ${
      lines(heads.map((h) =>
        `${
          rows.map((j) =>
            `s${h}_${j} = select(LOWEST, s${h}_${j} * params.scale, tile + lane + ${j * LANES}u < count);`
          ).join(" ")
        }
    { var top: f32 = max(max${h}, ${rows.map((j) => `s${h}_${j}`).reduce((a, b) => `max(${a}, ${b})`)}); ${
          acrossLanes("top", (a, b) => `max(${a}, ${b})`)
        } let shrink = exp(max${h} - top); max${h} = top; ${
          rows.map((j) => `s${h}_${j} = exp(s${h}_${j} - top);`).join(" ")
        } sum${h} = sum${h} * shrink + ${rows.map((j) => `s${h}_${j}`).join(" + ")}; ${
          outputs.map((name) => `o${h}_${name} *= shrink;`).join(" ")
        } }`
      ))
    }
    for (var step: u32 = 0u; step < ${team}u; step++) {
      let source = step * ${LANES / team}u + lane / ${team}u;
      ${
      lines(rows.map((j) =>
        `{ let value = subgroupShuffle(at${j}, source) + ${BLOCK_ROWS * units}u;
      ${lines(owned.map((c) => loadKvUnit(element, `v${c}`, "arena", `value + ${unit(c)}`)))}
      ${
          lines(heads.map((h) =>
            `{ let p = vec4<f32>(subgroupShuffle(s${h}_${j}, source)); ${
              outputs.map((name) => `o${h}_${name} = fma(p, v${name}, o${h}_${name});`).join(" ")
            } }`
          ))
        } }`
      ))
    }
    }
  }
  ${
      lines(heads.map((h) =>
        `{
    ${acrossLanes(`sum${h}`, (a, b) => `${a} + ${b}`)}
    ${outputs.map((name) => acrossLanes(`o${h}_${name}`, (a, b) => `${a} + ${b}`, team)).join(" ")}
    if (params.splits > 1u && lane == 0u) { stats[stat + ${h}u * params.splits] = vec2<f32>(max${h}, sum${h}); }
    ${
          owned.map((c) =>
            `if (lane < ${team}u && lane + ${c * LANES}u < ${units}u) { ${
              [0, 1].map((half) => {
                const d = `2u * (lane + ${c * LANES}u) + ${half}u`;
                return `if (params.splits == 1u) {
        output[m * params.out_stride4 + (head + ${h}u) * ${vectors}u + ${d}] = o${h}_${c}_${half} / sum${h};
      } else { partials[(stat + ${h}u * params.splits) * ${vectors}u + ${d}] = o${h}_${c}_${half}; }`;
              }).join(" ")
            } }`
          ).join("\n    ")
        }
  }`
      ))
    }
}
`,
  };
}
