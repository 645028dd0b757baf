/**
 * @file Looks up token embeddings: `x[m, :] = table[id(m), :]`, decoding the table's weight format.
 *
 * Bindings: planes of the table; ids u32; slots u32; x f32 `[m, stride]`.
 * The id of row m is `ids[m]`, or `ids[slots[m]]` when decoding, where each sequence's last token stays on the GPU.
 * A table that is cut by rows takes a dispatch for each part.
 * Grid: (ceil(units of a row / 64), m).
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { planeDeclarations, WEIGHT_FUNCTIONS, type WeightFormat } from "../weight_formats/weight_format.ts";

const THREADS = 64;

/** Generates the kernel for a table's format. */
export function embedKernel(format: WeightFormat): Kernel {
  const planes = format.planes.length;
  const vectors = format.unit / 4;
  return {
    label: `embed ${format.type}`,
    bindings: [...format.planes.map(() => "read" as const), "read", "read", "write"],
    wgsl: `
struct Params { units: u32, stride4: u32, by_slot: u32, first: u32, vocabulary: u32, first_id: u32, id_count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${planeDeclarations(format, 1)}
@group(0) @binding(${1 + planes}) var<storage, read> ids: array<u32>;
@group(0) @binding(${2 + planes}) var<storage, read> slots: array<u32>;
@group(0) @binding(${3 + planes}) var<storage, read_write> x: array<vec4<f32>>;
${format.hasScale ? WEIGHT_FUNCTIONS : ""}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.units) { return; }
  let row = params.first + thread.y;
  var source: u32 = row;
  if (params.by_slot != 0u) { source = slots[row]; }
  let id = min(ids[source], params.vocabulary - 1u);
  if (id < params.first_id || id >= params.first_id + params.id_count) { return; }
  let unit = (id - params.first_id) * params.units + thread.x;
  ${format.load("unit", "")}
  let at = row * params.stride4 + thread.x * ${vectors}u;
  ${
      Array.from({ length: vectors }, (_, i) =>
        `x[at + ${i}u] = q_${i}${format.hasScale ? " * scale" : ""}${format.hasOffset ? " + vec4<f32>(offset)" : ""};`)
        .join("\n  ")
    }
}
`,
  };
}

/** What an {@link embedKernel} looks up. */
export interface EmbedShape {
  readonly format: WeightFormat;
  /** Elements of a row, padded; also the stride of x. */
  readonly columns: number;
  /** Tokens of the vocabulary: larger ids count as the last. */
  readonly vocabulary: number;
  /** The ids that the bound matrix holds: others are left alone. */
  readonly firstId: number;
  readonly idCount: number;
  /** Rows of x to fill. */
  readonly first: number;
  readonly count: number;
  /** Whether the ids are found by the rows' slots, or by the rows themselves. */
  readonly bySlot: boolean;
}

/** A dispatch of an {@link embedKernel}. */
export function embedDispatch(
  { format, columns, vocabulary, firstId, idCount, first, count, bySlot }: EmbedShape,
): Dispatch {
  const units = columns / format.unit;
  return {
    params: [units, columns / 4, bySlot ? 1 : 0, first, vocabulary, firstId, idCount],
    grid: [Math.ceil(units / THREADS), count],
  };
}
