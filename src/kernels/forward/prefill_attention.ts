/**
 * @file Causal attention of a tile of prompt rows over their prompts' keys so far, with an online softmax.
 *
 * Several prompts are packed one after the other; row r attends to rows `start(r)..r`. A workgroup of 8 x 8 threads takes
 * 64 query rows of one head and walks the keys in tiles of 48:
 *
 *     scores 64 x 48   each thread makes 8 x 6 of them, straight from memory (neighbours share cache lines)
 *     softmax          one thread a row finds the running maximum (Milakov and Gimelshein, 2018); the exponentials are
 *                      taken where the scores are, and stored so that a key's weights for four rows lie side by side
 *     output 64 x d    each thread keeps 8 rows x 8 columns in registers, rescaled as the maximum moves
 *
 * What counts is how many products a load serves: on a software adapter a load of any width costs as much as some sixty
 * of them. So keys and values come eight elements at a time. Heads above 64 would need too many registers: they take 32
 * rows and 64 keys. In heads below 64 there are fewer columns than threads: teams of threads share out the keys, and
 * their sums are added at the end.
 *
 * Dao, FlashAttention-2, 2023.
 *
 * Bindings: q f32 `[m, queryHeads * headSize]`; keys and values `[kvHeads, capacity, headSize]`; rows vec4<u32>
 * `[pack row]` (position, first row of its prompt, _, _); output f32 `[m, outStride]`.
 * Grid: (ceil(m / rows of a workgroup), queryHeads).
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { type KvElement, kvUnitType, loadKvUnit } from "../kv_element.ts";

const SIDE = 8;
const THREADS = SIDE * SIDE;
/** Elements of a key or value that a thread loads at once, see {@link loadKvUnit}. */
const UNIT = 8;

export interface PrefillAttentionVariant {
  readonly element: KvElement;
  readonly queryHeads: number;
  readonly kvHeads: number;
  /** A multiple of 8. */
  readonly headSize: number;
}

/** A kernel of prefill attention, and the query rows that one of its workgroups takes. */
export interface PrefillAttentionKernel extends Kernel {
  readonly rowsPerWorkgroup: number;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Query rows and keys of a thread's scores: as many as registers and workgroup memory hold. */
export function scoresPerThread(headSize: number): { rows: number; keys: number } {
  return headSize <= 64 ? { rows: 8, keys: 6 } : { rows: 4, keys: 8 };
}

/** Generates the kernel of a variant. */
export function prefillAttentionKernel(variant: PrefillAttentionVariant): PrefillAttentionKernel {
  const { element, queryHeads, kvHeads, headSize } = variant;
  const perThread = scoresPerThread(headSize);
  const tileRows = perThread.rows * SIDE;
  const tileKeys = perThread.keys * SIDE;
  const rows = range(perThread.rows);
  const quads = range(perThread.rows / 4);
  const keys = range(perThread.keys);
  const vectors = headSize / 4;
  const units = headSize / UNIT;
  const columns = range(Math.ceil(units / SIDE));
  // Threads that hold different columns of the same rows are a team; teams share out the keys.
  const team = Math.min(SIDE, 2 ** Math.ceil(Math.log2(units)));
  const teams = SIDE / team;
  // Threads without a column load the last one and store nothing.
  const column = (c: number) => `min(lane + ${c * SIDE}u, ${units - 1}u)`;
  const outputs = columns.flatMap((c) => [0, 1].map((half) => ({ c, half, name: `${c}_${half}` })));
  const stored = kvUnitType(element);
  // One vec4 more than there are, so that threads that store neighbouring keys do not meet in one memory bank.
  const stride = tileRows / 4 + 1;
  const lines = (parts: readonly string[]) => parts.join("\n    ");
  return {
    label: `prefill attention ${element} ${queryHeads}/${kvHeads}x${headSize}`,
    rowsPerWorkgroup: tileRows,
    bindings: ["read", "read", "read", "read", "write"],
    wgsl: `
struct Params { first_row: u32, count: u32, capacity: u32, scale: f32, out_stride4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<${stored}>;
@group(0) @binding(3) var<storage, read> values: array<${stored}>;
@group(0) @binding(4) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>;

// [key][four rows]
var<workgroup> weights: array<vec4<f32>, ${tileKeys * stride}>;
// [tx][row]: what each thread of a row has found.
var<workgroup> partials: array<f32, ${SIDE * tileRows}>;
// The running maximum of each row, in the end the reciprocal of its sum.
var<workgroup> row_state: array<f32, ${tileRows}>;

// Finite, so that no difference is a NaN.
const LOWEST: f32 = -1e30;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${SIDE}u;
  let ty = thread / ${SIDE}u;
  let lane = tx % ${team}u;
  let team = tx / ${team}u;
  let head = workgroup.y;
  let first = workgroup.x * ${tileRows}u;
  let last = min(first + ${tileRows}u, params.count) - 1u;
  let base = head / ${queryHeads / kvHeads}u * params.capacity;
  let own = ty * ${perThread.rows}u;
  // Prompts are packed in order, so the first row's prompt starts first.
  let key_begin = rows[params.first_row + first].y;
  let key_end = params.first_row + last + 1u;
  ${
      rows.map((i) =>
        `let m${i} = min(first + own + ${i}u, last);
  let query${i} = (m${i} * ${queryHeads}u + head) * ${vectors}u;
  let row${i} = params.first_row + m${i};
  let start${i} = rows[row${i}].y;
  var sum${i}: f32 = 0.0;
  var max${i}: f32 = LOWEST;
  ${outputs.map(({ name }) => `var o${i}_${name}: vec4<f32> = vec4<f32>(0.0);`).join(" ")}`
      ).join("\n  ")
    }
  // Of row \`thread\`, in the threads that own one.
  var row_max: f32 = LOWEST;
  for (var tile: u32 = key_begin; tile < key_end; tile += ${tileKeys}u) {
    ${
      lines(keys.map((j) =>
        `let key${j} = tile + tx + ${j * SIDE}u;
    let at${j} = (base + min(key${j}, key_end - 1u)) * ${units}u;`
      ))
    }
    ${rows.flatMap((i) => keys.map((j) => `var s${i}_${j}: f32 = 0.0;`)).join(" ")}
    for (var d: u32 = 0u; d < ${units}u; d++) {
      ${lines(keys.map((j) => loadKvUnit(element, `k${j}`, "keys", `at${j} + d`)))}
      ${
      lines(rows.map((i) =>
        `{ let a = q[query${i} + 2u * d]; let b = q[query${i} + 2u * d + 1u]; ${
          keys.map((j) =>
            `s${i}_${j} += dot(a, k${j}_0) + dot(b, k${j}_1);`
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
    partials[tx * ${tileRows}u + own + ${i}u] = ${keys.map((j) => `s${i}_${j}`).reduce((a, b) => `max(${a}, ${b})`)};`
      ))
    }
    workgroupBarrier();
    if (thread < ${tileRows}u) {
      ${lines(range(SIDE).map((x) => `row_max = max(row_max, partials[${x * tileRows}u + thread]);`))}
      row_state[thread] = row_max;
    }
    workgroupBarrier();
    ${
      lines(rows.map((i) =>
        `{ let top = row_state[own + ${i}u]; let shrink = exp(max${i} - top); max${i} = top; ${
          keys.map((j) => `s${i}_${j} = exp(s${i}_${j} - top);`).join(" ")
        } sum${i} = sum${i} * shrink + ${keys.map((j) => `s${i}_${j}`).join(" + ")}; ${
          outputs.map(({ name }) => `o${i}_${name} *= shrink;`).join(" ")
        } }`
      ))
    }
    ${
      lines(keys.flatMap((j) =>
        quads.map((h) =>
          `weights[(tx + ${j * SIDE}u) * ${stride}u + ty * ${quads.length}u + ${h}u] = vec4<f32>(${
            range(4).map((i) => `s${4 * h + i}_${j}`).join(", ")
          });`
        )
      ))
    }
    workgroupBarrier();
    let keys_here = min(${tileKeys}u, key_end - tile);
    for (var j: u32 = team; j < keys_here; j += ${teams}u) {
      let value = (base + tile + j) * ${units}u;
      let weight = j * ${stride}u + ty * ${quads.length}u;
      ${quads.map((h) => `let p${h} = weights[weight + ${h}u];`).join(" ")}
      ${lines(columns.map((c) => loadKvUnit(element, `v${c}`, "values", `value + ${column(c)}`)))}
      ${
      lines(rows.map((i) =>
        outputs.map(({ name }) =>
          `o${i}_${name} = fma(vec4<f32>(p${Math.floor(i / 4)}.${"xyzw"[i % 4]}), v${name}, o${i}_${name});`
        ).join(" ")
      ))
    }
    }
  }
  ${rows.map((i) => `partials[tx * ${tileRows}u + own + ${i}u] = sum${i};`).join("\n  ")}
  workgroupBarrier();
  if (thread < ${tileRows}u) {
    row_state[thread] = 1.0 / (${range(SIDE).map((x) => `partials[${x * tileRows}u + thread]`).join(" + ")});
  }
  workgroupBarrier();
  ${
      rows.map((i) =>
        `{
    let at = m${i} * params.out_stride4 + head * ${vectors}u;
    let norm = row_state[own + ${i}u];
    ${
          teams === 1 ? "" : `workgroupBarrier();
    ${
            [0, 1].map((half) =>
              `weights[thread * 2u + ${half}u] = o${i}_0_${half};`
            ).join(" ")
          }
    workgroupBarrier();
    ${
            [0, 1].map((half) =>
              `o${i}_0_${half} = ${
                range(teams).map((t) => `weights[(ty * ${SIDE}u + lane + ${t * team}u) * 2u + ${half}u]`).join(" + ")
              };`
            ).join("\n    ")
          }`
        }
    if (first + own + ${i}u <= last && team == 0u) {
      ${
          columns.map((c) =>
            `if (lane + ${c * SIDE}u < ${units}u) { ${
              [0, 1].map((half) => `output[at + 2u * (lane + ${c * SIDE}u) + ${half}u] = o${i}_${c}_${half} * norm;`)
                .join(" ")
            } }`
          ).join("\n      ")
        }
    }
  }`
      ).join("\n  ")
    }
}
`,
  };
}

/** What a {@link prefillAttentionKernel} attends to. */
export interface PrefillAttentionShape {
  /** The kernel that attends, which knows how many rows a workgroup takes. */
  readonly kernel: PrefillAttentionKernel;
  readonly queryHeads: number;
  readonly headSize: number;
  /** Row of the pack that row 0 of q is. */
  readonly firstRow: number;
  /** Rows of q. */
  readonly count: number;
  /** Rows from one head to the next in keys and values. */
  readonly capacity: number;
  /** Elements between rows of the output; a multiple of 4. */
  readonly outStride: number;
}

/** A dispatch of a {@link prefillAttentionKernel}. */
export function prefillAttentionDispatch(
  { kernel, queryHeads, headSize, firstRow, count, capacity, outStride }: PrefillAttentionShape,
): Dispatch {
  return {
    params: [firstRow, count, capacity, floatBits(1 / Math.sqrt(headSize)), outStride / 4],
    grid: [Math.ceil(count / kernel.rowsPerWorkgroup), queryHeads],
  };
}
