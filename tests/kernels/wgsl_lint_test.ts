import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { TensorType } from "../../src/formats/model_file.ts";
import type { Kernel } from "../../src/gpu/gpu.ts";
import { attentionSums } from "../../src/kernels/scoring/attention_sums.ts";
import { averageHeads } from "../../src/kernels/scoring/average_heads.ts";
import { decodeAttentionKernel, mergeSplitsKernel } from "../../src/kernels/forward/decode_attention.ts";
import { embedKernel } from "../../src/kernels/forward/embed.ts";
import { forcedTokens } from "../../src/kernels/sampling/forced_tokens.ts";
import { gatherRows } from "../../src/kernels/scoring/gather_rows.ts";
import { gatherSums } from "../../src/kernels/scoring/gather_sums.ts";
import { keyDifferenceScores, keyDirections, keyNormScores } from "../../src/kernels/scoring/key_scores.ts";
import { lookupScores } from "../../src/kernels/scoring/lookup_scores.ts";
import { matmulKernel } from "../../src/kernels/forward/matmul.ts";
import { matvecKernel } from "../../src/kernels/forward/matvec.ts";
import { moveSlots } from "../../src/kernels/scoring/move_slots.ts";
import { penalties } from "../../src/kernels/sampling/penalties.ts";
import { tokenMask } from "../../src/kernels/sampling/token_mask.ts";
import { countScores } from "../../src/kernels/scoring/count_scores.ts";
import { boundScores } from "../../src/kernels/scoring/bound_scores.ts";
import { combineScores } from "../../src/kernels/scoring/combine_scores.ts";
import { linearScores, querySums } from "../../src/kernels/scoring/linear_scores.ts";
import { normaliseScores } from "../../src/kernels/scoring/normalise_scores.ts";
import { rehearsalScores } from "../../src/kernels/scoring/rehearsal_scores.ts";
import { turnedQueries } from "../../src/kernels/scoring/turned_queries.ts";
import { restoreScores, storeScores } from "../../src/kernels/scoring/slot_scores.ts";
import { chunkAttention } from "../../src/kernels/scoring/chunk_attention.ts";
import { leverageScores, sketchKeys } from "../../src/kernels/scoring/leverage_scores.ts";
import { loudValues } from "../../src/kernels/scoring/loud_values.ts";
import { protectRows } from "../../src/kernels/scoring/protect_rows.ts";
import { userScores } from "../../src/kernels/scoring/user_scores.ts";
import { poolScores } from "../../src/kernels/scoring/pool_scores.ts";
import { prefillAttentionKernel } from "../../src/kernels/forward/prefill_attention.ts";
import { readAhead } from "../../src/kernels/scoring/read_ahead.ts";
import { poolRows } from "../../src/kernels/forward/pool_rows.ts";
import { randomScores } from "../../src/kernels/scoring/random_scores.ts";
import { recencyScores } from "../../src/kernels/scoring/recency_scores.ts";
import { rmsNorm } from "../../src/kernels/forward/rms_norm.ts";
import { rotateKernel } from "../../src/kernels/forward/rotate.ts";
import { sample } from "../../src/kernels/sampling/sample.ts";
import { subgroupDecodeAttentionKernel } from "../../src/kernels/forward/subgroup_decode_attention.ts";
import { subgroupPrefillAttentionKernel } from "../../src/kernels/forward/subgroup_prefill_attention.ts";
import { swiglu } from "../../src/kernels/forward/swiglu.ts";
import { topLogprobs } from "../../src/kernels/sampling/top_logprobs.ts";
import { topRows } from "../../src/kernels/scoring/top_rows.ts";
import { unpackRows } from "../../src/kernels/scoring/unpack_rows.ts";
import { weightFormat } from "../../src/kernels/weight_formats/weight_formats.ts";
import { largestNorms, weighByHeads, weighByRows, weighByShares } from "../../src/kernels/scoring/value_norms.ts";
import { windowMaxima } from "../../src/kernels/scoring/window_maxima.ts";
import { sumMoments, windowMoments } from "../../src/kernels/scoring/window_moments.ts";
import { windowScores } from "../../src/kernels/scoring/window_scores.ts";
import { lintKernel } from "../support/wgsl_lint.ts";

const ELEMENTS = ["f16", "f32"] as const;
const TYPES: readonly TensorType[] = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q4_K",
  "Q5_K",
  "Q6_K",
];
const FORMATS = TYPES.map(weightFormat);
const VOCABULARIES = [512, 1024, 4096, 49_152, 151_936];
const HEAD_SIZES = [8, 24, 64, 80, 128, 256];
const HEADS = ELEMENTS.flatMap((element) =>
  HEAD_SIZES.flatMap((headSize) =>
    [[8, 4], [7, 1], [3, 3], [32, 8], [16, 1]].map(([queryHeads, kvHeads]) => ({
      element,
      headSize,
      queryHeads,
      kvHeads,
    }))
  )
);
const KV_HEADS = ELEMENTS.flatMap((element) => HEAD_SIZES.map((headSize) => [element, headSize] as const));
const BOOLEANS = [false, true];

/** For every kernel module, and in it for every entry point, a spread of its variants. */
const PAIRINGS = ["adjacent", "halves"] as const;

const KERNELS: Readonly<Record<string, readonly (readonly Kernel[])[]>> = {
  "attention_sums.ts": (["statistics", "sums"] as const).map((stage) =>
    KV_HEADS.flatMap(([element, headSize]) =>
      [undefined, 8].map((subgroupSize) => attentionSums({ element, headSize, subgroupSize })[stage])
    )
  ),
  "average_heads.ts": [[averageHeads]],
  "decode_attention.ts": [HEADS.map(decodeAttentionKernel), HEADS.map(mergeSplitsKernel)],
  "embed.ts": [FORMATS.map(embedKernel)],
  "forced_tokens.ts": [[forcedTokens]],
  "gather_rows.ts": [ELEMENTS.map(gatherRows)],
  "gather_sums.ts": [[gatherSums]],
  "key_scores.ts": [
    KV_HEADS.map((head) => keyNormScores(...head)),
    KV_HEADS.map((head) => keyDirections(...head)),
    KV_HEADS.map((head) => keyDifferenceScores(...head)),
  ],
  "lookup_scores.ts": (["gather", "partials", "scores"] as const).map((stage) =>
    ELEMENTS.flatMap((element) => HEAD_SIZES.map((headSize) => lookupScores(element, headSize)[stage]))
  ),
  "matmul.ts": [
    FORMATS.flatMap((format) =>
      BOOLEANS.flatMap((bias) =>
        (["store", "residual"] as const).flatMap((epilogue) =>
          [undefined, 8].map((subgroupSize) => matmulKernel({ format, bias, epilogue, subgroupSize }))
        )
      )
    ),
  ],
  "matvec.ts": [
    FORMATS.flatMap((format) =>
      [256, 768, 4096].flatMap((columns) =>
        [1, 4, 8].flatMap((batch) =>
          BOOLEANS.flatMap((norm) =>
            BOOLEANS.flatMap((bias) =>
              (["store", "residual", "gated"] as const).map((epilogue) =>
                matvecKernel({ format, columns, batch, norm, bias, epilogue })
              )
            )
          )
        )
      )
    ),
  ],
  "move_slots.ts": [ELEMENTS.map(moveSlots)],
  "penalties.ts": [[penalties]],
  "token_mask.ts": [[tokenMask]],
  "count_scores.ts": [[countScores]],
  "bound_scores.ts": [[boundScores]],
  "combine_scores.ts": [[combineScores]],
  "linear_scores.ts": [
    KV_HEADS.flatMap((head) => PAIRINGS.map((pairing) => linearScores(...head, pairing))),
    HEAD_SIZES.flatMap((headSize) => PAIRINGS.map((pairing) => querySums(headSize, pairing))),
  ],
  "normalise_scores.ts": [[normaliseScores]],
  "pool_scores.ts": [[poolScores]],
  "chunk_attention.ts": [KV_HEADS.map((head) => chunkAttention(...head))],
  "slot_scores.ts": [[storeScores, restoreScores]],
  "rehearsal_scores.ts": [
    HEADS.map(({ queryHeads, kvHeads, ...rest }) =>
      rehearsalScores({ ...rest, queryHeadCount: queryHeads, kvHeadCount: kvHeads })
    ),
  ],
  "turned_queries.ts": [HEAD_SIZES.flatMap((headSize) => PAIRINGS.map((pairing) => turnedQueries(headSize, pairing)))],
  "leverage_scores.ts": [
    KV_HEADS.flatMap((head) => PAIRINGS.map((pairing) => sketchKeys(...head, pairing))),
    HEAD_SIZES.map(leverageScores),
  ],
  "loud_values.ts": [KV_HEADS.map((head) => loudValues(...head))],
  "protect_rows.ts": [[protectRows]],
  "user_scores.ts": [
    HEADS.flatMap((heads) =>
      ["f32(row)", "fn score(row: u32) -> f32 { return window_query(0u, 0u, row); }"].map((code) =>
        userScores({ ...heads, queryHeadCount: heads.queryHeads, kvHeadCount: heads.kvHeads, code, uniforms: ["one"] })
      )
    ),
  ],
  "prefill_attention.ts": [HEADS.map(prefillAttentionKernel)],
  "random_scores.ts": [[randomScores]],
  "pool_rows.ts": [[poolRows]],
  "read_ahead.ts": [[readAhead]],
  "recency_scores.ts": [[recencyScores]],
  "rms_norm.ts": [[rmsNorm]],
  "rotate.ts": [
    HEADS.flatMap((heads) =>
      (["pages", "scratch"] as const).flatMap((destination) =>
        (["adjacent", "halves"] as const).flatMap((pairing) =>
          BOOLEANS.map((queryKeyNorm) => rotateKernel({ ...heads, destination, pairing, queryKeyNorm }))
        )
      )
    ),
  ],
  "sample.ts": [VOCABULARIES.map(sample)],
  "subgroup_decode_attention.ts": [HEADS.map(subgroupDecodeAttentionKernel)],
  "subgroup_prefill_attention.ts": [HEADS.map(subgroupPrefillAttentionKernel)],
  "swiglu.ts": [[swiglu]],
  "top_logprobs.ts": [VOCABULARIES.map(topLogprobs)],
  "top_rows.ts": [[topRows]],
  "value_norms.ts": [
    KV_HEADS.map((head) => weighByRows(...head)),
    KV_HEADS.map((head) => weighByShares(...head)),
    KV_HEADS.map((head) => largestNorms(...head)),
    [weighByHeads],
  ],
  "unpack_rows.ts": [ELEMENTS.map(unpackRows)],
  "window_maxima.ts": [KV_HEADS.map((head) => windowMaxima(...head))],
  "window_moments.ts": [KV_HEADS.map((head) => windowMoments(...head)), [sumMoments]],
  "window_scores.ts": (["partials", "combine", "scores"] as const).map((stage) =>
    ELEMENTS.flatMap((element) => HEAD_SIZES.map((headSize) => windowScores(element, headSize)[stage]))
  ),
};

const all = Object.values(KERNELS).flat(2);

Deno.test("every entry point in src/kernels is linted here", async () => {
  const directory = new URL("../../src/kernels/", import.meta.url);
  for (const path of await Array.fromAsync(glob("**/*.ts", { cwd: fileURLToPath(directory) }))) {
    const source = await Deno.readTextFile(new URL(path, directory));
    const name = basename(path);
    const entryPoints = source.split("@compute").length - 1;
    assert.equal(KERNELS[name]?.length ?? 0, entryPoints, `src/kernels/${path} has ${entryPoints} entry points`);
  }
});

Deno.test("every kernel keeps to the rules", () => {
  for (const kernel of all) assert.deepEqual(lintKernel(kernel), [], kernel.label);
});

Deno.test("a label names one WGSL text", () => {
  const texts = new Map<string, string>();
  for (const { label, wgsl } of all) {
    assert.equal(texts.get(label) ?? wgsl, wgsl, `two kernels are labelled ${label}`);
    texts.set(label, wgsl);
  }
});

/** A kernel without fault: what the parts of a bad one are put into. */
function kernel(
  { globals = "", body = "", threads = "64", params = "n: u32", bindings = ["read", "write"] }: {
    globals?: string;
    body?: string;
    threads?: string;
    params?: string;
    bindings?: Kernel["bindings"];
  },
): Kernel {
  return {
    label: "test",
    bindings,
    wgsl: `
struct Params { ${params} }
struct Pair { a: vec3<f32>, b: u32, c: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
${globals}
@compute @workgroup_size(${threads})
fn main(@builtin(local_invocation_index) thread: u32) { ${body} }
`,
  };
}

const BAD: Record<string, [Parameters<typeof kernel>[0], RegExp]> = {
  "a variable without initialiser": [{ body: "var sum: f32; sum += 1.0;" }, /var sum has no initialiser/],
  "one without a type": [{ body: "for (;;) { var i; }" }, /var i has no initialiser/],
  "a signed remainder of a conversion": [{ body: "let a = i32(thread) % 3;" }, /signed remainder/],
  "a signed remainder of a variable": [{ body: "let a: i32 = 5; let b = a % 3;" }, /signed remainder in "let b/],
  "a signed remainder of an inferred type": [{ body: "let a = i32(thread); let b = 7 % a;" }, /in "let b/],
  "a signed remainder of vectors": [{ body: "let a = vec2<i32>(1, 2) % vec2<i32>(2, 2);" }, /signed remainder/],
  "an extension": [{ globals: "enable subgroups;" }, /enable/],
  "a pointer to workgroup memory": [{ globals: "fn f(p: ptr<workgroup, u32>) {}" }, /pointers/],
  "a pointer to storage": [{ globals: "fn f(p: ptr<storage, array<f32>, read_write>) {}" }, /pointers/],
  "too much workgroup memory": [
    { globals: "var<workgroup> a: array<vec4<f32>, 2048>; var<workgroup> b: atomic<u32>;" },
    /32784 bytes of workgroup memory/,
  ],
  "too much workgroup memory in structures": [
    { globals: "var<workgroup> pairs: array<Pair, 1025>;" },
    /32800 bytes of workgroup memory/,
  ],
  "too many threads": [{ threads: "32, 16" }, /512 threads/],
  "threads that are no number": [{ threads: "THREADS" }, /NaN threads/],
  "a second entry point": [{ globals: "@compute @workgroup_size(1) fn other() {}" }, /entry point/],
  "a binding that the kernel does not list": [{ bindings: ["read"] }, /do not match/],
  "a binding with other access": [{ bindings: ["read", "read"] }, /do not match/],
  "a binding in another group": [
    { globals: "@group(1) @binding(3) var<storage, read> z: array<u32>;", bindings: ["read", "write", "read"] },
    /do not match/,
  ],
  "nine bindings": [
    {
      globals: [3, 4, 5, 6, 7, 8, 9].map((i) => `@group(0) @binding(${i}) var<storage, read> z${i}: array<u32>;`).join(
        "",
      ),
      bindings: ["read", "write", "read", "read", "read", "read", "read", "read", "read"],
    },
    /9 storage bindings/,
  ],
  "parameters beyond a slot": [{ params: "n: u32, matrix: array<vec4<f32>, 16>" }, /Params has 272 bytes/],
};

Deno.test("the rules accept a kernel without fault", () => {
  const body = "// var a: u32; i32 % enable\nvar sum: f32 = 0.0; let signed = i32(thread) >> 1u; let r = thread % 3u;";
  assert.deepEqual(lintKernel(kernel({ body })), []);
});

for (const [name, [parts, problem]] of Object.entries(BAD)) {
  Deno.test(`the rules find ${name}`, () => {
    const problems = lintKernel(kernel(parts));
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0], problem);
  });
}

Deno.test("the rules find parameters that are not binding 0", () => {
  const { wgsl, ...rest } = kernel({});
  const problems = lintKernel({ ...rest, wgsl: wgsl.replace("var<uniform> params", "var<uniform> other") });
  assert.deepEqual(problems, ["binding 0 has to be the uniform params"]);
});
