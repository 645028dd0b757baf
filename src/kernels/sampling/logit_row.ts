/**
 * @file WGSL for a workgroup that goes over one row of logits: order-preserving keys, arg-max and log-sum-exp.
 *
 * A logit is handled as a `u32` key that sorts as the float does. NaN counts as -infinity and infinities as +-1e38, so
 * that differences of two logits stay finite, whatever a model computed (WGSL lets compilers assume finite floats).
 * -0 and +0 get one key. No logit gets the key 0: it stands for "not a token".
 */

/** Rows of logits, and where what is found in each is written. */
export interface LogitRowsShape {
  readonly rows: number;
  /** Entries of a row that count. */
  readonly vocabulary: number;
  /** Elements from one row to the next; a multiple of 4. */
  readonly stride: number;
  /** Decode step inside the submit: index of the result records' block and increment of the draw index. */
  readonly step: number;
  /** Rows of a block of result records. */
  readonly maxRows: number;
}

/**
 * Threads of the workgroup, a power of two: 16 logits each until 256 is reached. Idle threads are not free: on Mesa's
 * llvmpipe 16 rows of a vocabulary of 512 take 1.4 ms with 256 threads and 0.3 ms with 32.
 */
export function rowThreads(vocabulary: number): number {
  let threads = 32;
  while (threads < 256 && threads * 32 <= vocabulary) threads *= 2;
  return threads;
}

/** The bits of 1e38: the largest magnitude of a logit. */
const LIMIT_BITS = "0x7e967699u";

/**
 * A loop of one thread over its share of a row: `body` sees `id` (u32), ascending, and `key` (u32, 0 beyond the
 * vocabulary). In scope must be `thread`, `params.vocabulary` and `first_quad`, the row's first `vec4`.
 *
 * @param threads of the workgroup
 * @param buffer name of the logits' binding, an `array<vec4<u32>>` of f32 bits
 */
export function forEachLogit(threads: number, buffer: string, body: string): string {
  const elements = ["x", "y", "z", "w"].map((component, index) =>
    `{
      let id = quad * 4u + ${index}u;
      let key = select(0u, key_of(bits.${component}), id < params.vocabulary);
      ${body}
    }`
  );
  return `
  for (var quad: u32 = thread; quad * 4u < params.vocabulary; quad += ${threads}u) {
    let bits = ${buffer}[first_quad + quad];
    ${elements.join("\n    ")}
  }`;
}

/**
 * `key_of(bits)`, its inverse `value_of(key)`, and functions that all threads call together:
 * `row_best(thread, key, id)`, the largest key of all threads with its lowest id;
 * `row_sum(thread, x)`, in a fixed order, so that equal rows give equal sums;
 * `row_log_sum_exp(thread, first_quad)`: m = the row's largest logit and log(sum(exp(logit - m))), kept apart because
 * their sum would lose the digits of a small one.
 *
 * @param threads of the workgroup
 * @param buffer name of the logits' binding that `row_log_sum_exp` reads
 */
export function logitRowFunctions(threads: number, buffer: string): string {
  return `
fn key_of(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  let negative = (bits >> 31u) == 1u || magnitude > 0x7f800000u;
  let limited = min(magnitude, ${LIMIT_BITS});
  return select(0x80000000u + limited, 0x80000000u - limited, negative);
}

fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(key - 0x80000000u, (0x80000000u - key) | 0x80000000u, key < 0x80000000u));
}

var<workgroup> best_key: atomic<u32>;
var<workgroup> best_id: atomic<u32>;
var<workgroup> partial_sums: array<f32, ${threads}>;

fn row_best(thread: u32, key: u32, id: u32) -> vec2<u32> {
  if (thread == 0u) {
    atomicStore(&best_key, 0u);
    atomicStore(&best_id, 0xffffffffu);
  }
  workgroupBarrier();
  atomicMax(&best_key, key);
  workgroupBarrier();
  let largest = atomicLoad(&best_key);
  if (key == largest) { atomicMin(&best_id, id); }
  workgroupBarrier();
  let best = vec2<u32>(largest, atomicLoad(&best_id));
  workgroupBarrier();
  return best;
}

fn row_sum(thread: u32, x: f32) -> f32 {
  partial_sums[thread] = x;
  workgroupBarrier();
  for (var half: u32 = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { partial_sums[thread] += partial_sums[thread + half]; }
    workgroupBarrier();
  }
  let sum = partial_sums[0];
  workgroupBarrier();
  return sum;
}

fn row_log_sum_exp(thread: u32, first_quad: u32) -> vec2<f32> {
  var largest: u32 = 0u;
  ${forEachLogit(threads, buffer, "largest = max(largest, key);")}
  let maximum = value_of(row_best(thread, largest, 0u).x);
  var sum: f32 = 0.0;
  ${forEachLogit(threads, buffer, "sum += select(0.0, exp(value_of(key) - maximum), key > 0u);")}
  return vec2<f32>(maximum, log(row_sum(thread, sum)));
}
`;
}
