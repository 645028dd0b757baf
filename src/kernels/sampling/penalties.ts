/**
 * @file Logit bias and penalties for repeated tokens, in vLLM's order: bias, repetition, frequency, presence.
 *
 * Frequency and presence penalties are OpenAI's and look at generated tokens only. The repetition penalty (Keskar et al.,
 * CTRL, 2019, equation 2 as Hugging Face mended it for negative logits) looks at the prompt too.
 */
import { FORBIDDEN_BIAS, type SamplingParameters } from "../../contract/sampling.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { SAMPLING_STRUCT, USES_BIAS, USES_COUNTS } from "./sampling_record.ts";

const THREADS = 256;

/** The top bit of a token's count: the token is in the prompt. The other 31 count how often it was generated. */
export const IN_PROMPT = 0x80000000;

/**
 * Bindings:
 * 1. raw f32 `[rows, stride]`: the model's logits
 * 2. slots u32 `[rows]`: the sequence slot of a row
 * 3. sampling `[slots]` of `SAMPLING_BYTES`
 * 4. counts u32 `[slots, stride]`: generated count and {@link IN_PROMPT}; read only in slots that use counts
 * 5. bias f32 `[slots, stride]`; read only in slots that have one
 * 6. adjusted f32 `[rows, stride]`: the outcome; rows without bias and penalties are copied
 *
 * Grid: along `x` a thread for four logits of a row; `y` = rows.
 */
export const penalties: Kernel = {
  label: "penalties",
  bindings: ["read", "read", "read", "read", "read", "write"],
  wgsl: `
struct Params { quads: u32 }
${SAMPLING_STRUCT}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> raw: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> sampling: array<Sampling>;
@group(0) @binding(4) var<storage, read> counts: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> adjusted: array<vec4<f32>>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let quad = thread.x;
  if (quad >= params.quads) { return; }
  let row = thread.y;
  let slot = slots[row];
  let settings = sampling[slot];
  var x: vec4<f32> = raw[row * params.quads + quad];
  if ((settings.flags & ${USES_BIAS}u) != 0u) { x += bias[slot * params.quads + quad]; }
  if ((settings.flags & ${USES_COUNTS}u) != 0u) {
    let entry = counts[slot * params.quads + quad];
    let generated = vec4<f32>(entry & vec4<u32>(${IN_PROMPT - 1}u));
    let penalty = vec4<f32>(settings.repetition_penalty);
    x = select(x, select(x * penalty, x / penalty, x > vec4<f32>(0.0)), entry > vec4<u32>(0u));
    x -= settings.frequency_penalty * generated + settings.presence_penalty * min(generated, vec4<f32>(1.0));
  }
  adjusted[row * params.quads + quad] = x;
}
`,
};

/** The logits that {@link penalties} adjusts. */
export interface PenaltiesShape {
  readonly rows: number;
  /** Elements from one row to the next, of logits, counts and bias; a multiple of 4. */
  readonly stride: number;
}

/** A dispatch of {@link penalties}. */
export function penaltiesDispatch({ rows, stride }: PenaltiesShape): Dispatch {
  return { params: [stride / 4], grid: [Math.ceil(stride / (4 * THREADS)), rows] };
}

/** The counts of a sequence that has generated nothing yet: u32 `[stride]`, {@link IN_PROMPT} at the prompt's tokens. */
export function promptCounts(prompt: Uint32Array, stride: number): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(stride);
  for (const token of prompt) counts[token] = IN_PROMPT;
  return counts;
}

/** A sequence's bias: f32 `[stride]`; entries for one token add up. */
export function biasRow(
  { logitBias, allowedTokens }: Pick<SamplingParameters, "logitBias" | "allowedTokens">,
  stride: number,
): Float32Array<ArrayBuffer> {
  const row = new Float32Array(stride);
  if (allowedTokens !== undefined) {
    row.fill(FORBIDDEN_BIAS);
    for (const token of allowedTokens) row[token] = 0;
  }
  for (const { token, bias } of logitBias) row[token] += bias;
  return row;
}
