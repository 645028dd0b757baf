/**
 * @file Tries a policy on made-up prompts, without a model: what the engine would fall back from in the middle of a request is found
 * before, with the input that brings it about.
 */
import { histogramOf } from "../../scores/score_histogram.ts";
import type { LayerContext, PolicyContext } from "../context.ts";
import { startPolicy } from "../fence.ts";
import type { LayerScores, Policy, SequencePolicy } from "../policy.ts";
import type { HostInput, HostInputs } from "../steps/step_rules.ts";
import { CASES, describeCase, madeUpScores } from "./cases.ts";

/** What is wrong with a policy. */
export interface Fault {
  readonly what: string;
  /** The input that shows it. */
  readonly input: string;
}

/** What came of a policy. */
export interface CheckedPolicy {
  readonly policy: Policy;
  readonly faults: readonly Fault[];
  /** Rows that each layer kept of the prompts that were compressed. */
  readonly kept: readonly KeptRows[];
  /** The longest that a call of the policy took, in milliseconds. */
  readonly slowest: number;
}

/** Of one prompt. */
export interface KeptRows {
  readonly context: PolicyContext;
  readonly rowsPerLayer: readonly number[];
}

/** While a policy computes, nothing else does: more than a few steps of decoding should not be lost. In milliseconds. */
const SLOW = 50;
/** Calls that seem slow are made so often. */
const ATTEMPTS = 5;
/** Query heads of a KV head, and layers' statistics: any number that a model can have. */
const GROUP = 2;

/** Tries a policy with the defaults of its options. */
export function checkPolicy(policy: Policy): CheckedPolicy {
  const faults: Fault[] = [];
  const kept: KeptRows[] = [];
  let slowest = 0;
  const options = policy.options.safeParse({});
  if (!options.success) {
    const [{ path, message }] = options.error.issues;
    const what = `The option "${
      path.join(".")
    }" has no default (${message}): a request that names the policy alone is refused`;
    return { policy, faults: [{ what, input: "a request without options" }], kept, slowest };
  }
  for (const context of CASES) {
    const scores = (scoredRows: number) => madeUpScores(context, scoredRows);
    const first = tryCase(policy, context, options.data, scores);
    const { fault } = first;
    // One of a kind is enough.
    if (fault !== null && !faults.some(({ what }) => withoutNumbers(what) === withoutNumbers(fault.what))) {
      faults.push(fault);
    }
    if (fault === null) {
      const again = tryCase(policy, context, options.data, scores);
      // The first time, code is compiled as well.
      slowest = Math.max(slowest, again.slowest);
      if (again.shared.join() !== first.shared.join()) {
        const what = "The policy does not give the same twice, so that a comparison cannot be repeated";
        faults.push({ what, input: describeCase(context) });
      }
    }
    if (first.rows !== null) kept.push({ context, rowsPerLayer: first.rows });
  }
  if (slowest > SLOW) {
    const what = `A call took ${
      Math.round(slowest)
    } ms, while which nothing else is computed: expected ${SLOW} at most`;
    faults.push({ what, input: "the slowest of all prompts" });
  }
  return { policy, faults, kept, slowest };
}

interface Tried {
  readonly fault: Fault | null;
  /** What was shared, at each sharing. */
  readonly shared: readonly (readonly number[])[];
  /** Rows of each layer in the end, window included; `null` where nothing was compressed, or the policy failed. */
  readonly rows: readonly number[] | null;
  readonly slowest: number;
}

function tryCase(
  policy: Policy,
  context: PolicyContext,
  options: Readonly<Record<string, unknown>>,
  scoresOf: (scoredRows: number) => readonly Float32Array[],
): Tried {
  let fault: Fault | null = null;
  let place = "";
  let slowest = 0;
  const note = (what: string) => fault ??= { what, input: describeCase(context) + place };
  const timed = <Result>(call: () => Result): Result => {
    let result = call();
    let took = Infinity;
    // The first call compiled the code, and in a slow one the machine may have been busy with something else.
    for (let attempt = 0; attempt < ATTEMPTS && took > SLOW; attempt++) {
      const begun = performance.now();
      result = call();
      took = Math.min(took, performance.now() - begun);
    }
    slowest = Math.max(slowest, took);
    return result;
  };
  const shared: number[][] = [];
  const started = timed(() => startPolicy(policy, context, options, note));
  if (started === null) return { fault, shared, rows: null, slowest };
  const heads = started.perHead ? context.kvHeadCount : 1;
  const scored = context.promptLength - started.window;
  const layers = new MadeUpLayers(started, scoresOf(scored), heads);
  const inputs = madeUpInputs(context, scored, new Set(started.hostSteps.flatMap(({ inputs }) => inputs)));
  let held: number[] = [];
  for (let layer = 0; layer < context.layerCount; layer++) {
    place = `; layer ${layer}`;
    for (const step of started.hostSteps) {
      // Not timed: that takes long, and is known to.
      started.computeOnHost(step, inputs, layerContext(context, layer, scored));
    }
    held.push(...Array(heads).fill(timed(() => started.provisionalRows(layer))));
    if (!timed(() => started.isRebalanceDue(layer))) continue;
    place = `; allot() of layers 0 to ${layer}, which hold ${held.slice(0, 8).join(", ")}${
      held.length > 8 ? ", ..." : ""
    }`;
    const shown = layers.holding(held);
    held = Array.from(timed(() => started.allot(shown)));
    if (layers.areChanged) note("allot() changes what it is given, which is shown to it again at the next sharing");
    shared.push(held);
  }
  const rows = Array.from(
    { length: context.layerCount },
    (_, layer) =>
      held.slice(layer * heads, (layer + 1) * heads).reduce((sum, rows) => sum + rows, 0) / heads + started.window,
  );
  return { fault, shared, rows: fault === null ? rows : null, slowest };
}

/** Layers as a policy is shown them, and what they must be still when it has seen them. */
class MadeUpLayers {
  readonly #layers: readonly Omit<LayerScores, "heldRows" | "headRows">[];
  readonly #sums: readonly number[];

  constructor(
    { exactScores, attentionStatistics, perHead }: SequencePolicy,
    scores: readonly Float32Array[],
    readonly heads: number,
  ) {
    this.#layers = scores.map((scores, layer) => ({
      histogram: histogramOf(scores),
      scores: exactScores ? scores : undefined,
      statistics: attentionStatistics ? { entropy: 3 + layer % 4, variance: 0.01 * (1 + layer % 3) } : undefined,
      headHistograms: perHead
        ? Array.from(
          { length: heads },
          (_, head) => histogramOf(scores.subarray(head * scores.length / heads, (head + 1) * scores.length / heads)),
        )
        : undefined,
    }));
    this.#sums = this.#layers.map(sumOf);
  }

  /** @param held ranked rows of each layer so far, or of each of its heads */
  holding(held: readonly number[]): LayerScores[] {
    return Array.from({ length: held.length / this.heads }, (_, layer) => {
      const rows = held.slice(layer * this.heads, (layer + 1) * this.heads);
      return {
        ...this.#layers[layer],
        heldRows: Math.max(...rows),
        headRows: this.#layers[layer].headHistograms && Uint32Array.from(rows),
      };
    });
  }

  get areChanged(): boolean {
    return this.#layers.some((layer, i) => sumOf(layer) !== this.#sums[i]);
  }
}

/** A number that hardly stays the same where one of theirs changes. */
function sumOf({ histogram, scores, headHistograms = [] }: Omit<LayerScores, "heldRows">): number {
  let sum = 0;
  for (const numbers of [histogram, scores ?? [], ...headHistograms]) {
    for (let i = 0; i < numbers.length; i++) sum += numbers[i] * (1 + i % 1009);
  }
  return sum;
}

/** Of what steps ask for, numbers of a usual size. */
function madeUpInputs(
  { kvHeadCount, headSize, promptLength }: PolicyContext,
  scored: number,
  asked: ReadonlySet<HostInput>,
): HostInputs {
  const waves = (length: number) => Float32Array.from({ length }, (_, i) => (i * 7919 % 2003) / 1001 - 1);
  const queryHeads = kvHeadCount * GROUP;
  return {
    ...asked.has("keys") && { keys: waves(kvHeadCount * promptLength * headSize) },
    ...asked.has("values") && { values: waves(kvHeadCount * promptLength * headSize) },
    ...asked.has("attention") && { attention: waves(kvHeadCount * scored).map(Math.abs) },
    ...asked.has("queryStatistics") && {
      queryStatistics: {
        mean: waves(queryHeads * headSize),
        meanMagnitude: waves(queryHeads * headSize / 2).map(Math.abs),
      },
    },
  };
}

function layerContext(context: PolicyContext, layer: number, scoredRows: number): LayerContext {
  const { kvHeadCount, headSize } = context;
  const frequencies = Float64Array.from({ length: headSize / 2 }, (_, i) => 10_000 ** (-2 * i / headSize));
  return {
    ...context,
    layer,
    scoredRows,
    queryHeadCount: kvHeadCount * GROUP,
    rotary: { frequencies, pairing: "halves" },
  };
}

function withoutNumbers(text: string): string {
  return text.replace(/\d+/g, "#");
}
