/**
 * @file What the steps of a score work on: the layer's keys, values and queries, and scratch that they share.
 *
 * A step finds the scores of the steps before it in {@link ScoringWork.scores}. It changes them there, or writes new ones to
 * {@link ScoringWork.spare} and lets both change places. Other scratch is made when a step first asks for it: loading does not wait
 * for policies that nobody asks for.
 */
import type { Binding, Gpu, Kernel } from "../gpu/gpu.ts";
import type { Dispatch, Recorder } from "../gpu/recorder.ts";
import type { KvElement } from "../kernels/kv_element.ts";
import type { Rotary } from "../policy/context.ts";
import type { Step } from "../policy/steps.ts";
import { Bindings } from "./bindings.ts";

export interface CompressorOptions {
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  readonly headSize: number;
  readonly element: KvElement;
  /** Rows of keys and values per KV head: the longest pack, and the most rows that can be ranked. */
  readonly capacity: number;
  /** How keys and queries are rotated; for steps that turn queries back. */
  readonly rotary?: Rotary;
}

/** What the compressor works on but does not own. */
export interface CompressorBuffers {
  /** KV elements `[kvHead][capacity][headSize]`, rotated. */
  readonly keys: GPUBuffer;
  /** KV elements `[kvHead][capacity][headSize]`. */
  readonly values: GPUBuffer;
  /** f32 `[segment][MAX_WINDOW][queryHead][headSize]`, rotated, not scaled; row 0 is the oldest of the window. */
  readonly windowQueries: GPUBuffer;
  /** f32 `[row of the tile][queryHead][headSize]`, rotated, not scaled: the queries of the tile prefilled last. */
  readonly tileQueries: GPUBuffer;
  /** u32, see scores/layer_record.ts. */
  readonly layerRecords: GPUBuffer;
  /** u32, the blocks of all block tables; see cache/block.ts. */
  readonly table: GPUBuffer;
  /** f32 `[position][headSize / 2][2]`, cosines and sines; goes with `rotary`. */
  readonly ropeTable?: GPUBuffer;
}

/** A prompt of the pack whose rows are to be scored. */
export interface SegmentScoring {
  /** Which window of the window queries. */
  readonly segmentIndex: number;
  /** Queries stored there before those of the score's own window, where the prompt is also scored with a larger one. */
  readonly earlierQueries?: number;
  /** Queries of the window that are stored, the last ones; all of them if not given. */
  readonly queries?: number;
  /** First row of the prompt in the pack. */
  readonly start: number;
  /** Rows of the prompt; more than the score's window. */
  readonly length: number;
  /** Counted from 0; 0 if not given. */
  readonly layer?: number;
  /** First word of the layer record whose histogram is added to. */
  readonly recordOffset: number;
  /** First word of histograms of every KV head, if those are to be added to instead. */
  readonly headHistograms?: number;
  /** Which counter of unusable scores is the prompt's; `segmentIndex` if not given. */
  readonly counter?: number;
  /** What the host has computed for steps. */
  readonly hostNumbers?: ReadonlyMap<Step, GPUBuffer>;
  /** Scores of the layer by chunks, as far as they are cached or to be. */
  readonly knownScores?: KnownScores;
}

/** Scores of a layer of a prompt that hang on chunks of its rows alone, and can be kept from one prompt to the next that begins alike. */
export interface KnownScores {
  /** Rows whose scores are known: whole chunks. */
  readonly rows: number;
  /** Records that scores `[kvHead][capacity]` are written, of those rows that are before `end`. */
  restore(recorder: Recorder, scores: GPUBuffer, end: number): void;
  /** Records that scores are kept of whole chunks that were not known, among the first `rows`, as far as there is room. */
  store(recorder: Recorder, scores: GPUBuffer, rows: number): void;
}

/** The same, as steps see it. */
export interface ScoredSegment extends SegmentScoring {
  /** Rows before the window, which get a score. */
  readonly scored: number;
  /** Whether the step is to write how the attention of the window is spread to the layer record as well. */
  readonly statistics: boolean;
}

/** What the host has computed for a step of a score of the segment. */
export function hostNumbers({ hostNumbers }: SegmentScoring, step: Step): GPUBuffer {
  const numbers = hostNumbers?.get(step);
  if (numbers === undefined) throw new Error(`Nothing has been computed on the host for the step ${step.name}`);
  return numbers;
}

/** Records a step of a score of `segment`. */
export type StepRecorder<Step> = (work: ScoringWork, recorder: Recorder, step: Step, segment: ScoredSegment) => void;

export class ScoringWork {
  /** f32 `[kvHead][capacity]`: the scores so far, `scored` of them per head. */
  scores: GPUBuffer;
  /** Positions u32 `[kvHead][capacity]` of the rows ranked last, best first, relative to the segment's start. */
  readonly indices: GPUBuffer;
  /** Bytes of a number for every row of every KV head. */
  readonly rowBytes: number;
  readonly #bindings: Bindings;
  readonly #made = new Map<string, unknown>();
  readonly #scratch = new Map<string, GPUBuffer>();
  #asideCount = 0;
  readonly #both: { readonly first: GPUBuffer; second: GPUBuffer | null };

  constructor(readonly gpu: Gpu, readonly options: CompressorOptions, readonly buffers: CompressorBuffers) {
    this.rowBytes = options.kvHeadCount * options.capacity * 4;
    this.#bindings = new Bindings(gpu);
    this.indices = this.scratch("ranked positions", this.rowBytes);
    this.scores = this.scratch("scores", this.rowBytes);
    this.#both = { first: this.scores, second: null };
  }

  /** Scores start in the same buffer for every segment, so that the same bindings serve all of them. */
  begin(): void {
    this.scores = this.#both.first;
  }

  /** The other buffer of scores, f32 `[kvHead][capacity]`. */
  get spare(): GPUBuffer {
    const { first } = this.#both;
    if (this.scores !== first) return first;
    return this.#both.second ??= this.scratch("spare scores", this.rowBytes);
  }

  /** What was written to {@link spare} are the scores from now on. */
  swap(): void {
    this.scores = this.spare;
  }

  /** Keeps the scores so far in another buffer, which this returns, while another score is recorded. */
  setAside(recorder: Recorder): GPUBuffer {
    const buffer = this.scratch(`scores set aside ${this.#asideCount++}`, this.rowBytes);
    recorder.copy(this.scores, 0, buffer, 0, this.rowBytes);
    return buffer;
  }

  /** The scores that were set aside last are needed no more. */
  takeBack(): void {
    this.#asideCount--;
  }

  /** A buffer of its own label, made when it is first asked for. */
  scratch(label: string, bytes: number): GPUBuffer {
    let buffer = this.#scratch.get(label);
    if (buffer === undefined) this.#scratch.set(label, buffer = this.gpu.createBuffer(label, bytes));
    return buffer;
  }

  /** What is made of the options, once. WGSL is long: it is not to be written again for every layer. */
  made<T>(what: string, make: (options: CompressorOptions) => T): T {
    let made = this.#made.get(what) as T | undefined;
    if (made === undefined) this.#made.set(what, made = make(this.options));
    return made;
  }

  /** A kernel bound to buffers. */
  binding(kernel: Kernel, buffers: readonly GPUBuffer[]): Binding {
    return this.#bindings.of(kernel, buffers);
  }

  /** Runs a kernel on buffers. */
  dispatch(recorder: Recorder, kernel: Kernel, buffers: readonly GPUBuffer[], dispatch: Dispatch): void {
    recorder.dispatch(this.binding(kernel, buffers), dispatch);
  }

  /** Frees the scratch. The buffers given at construction stay. */
  destroy(): void {
    for (const buffer of this.#scratch.values()) this.gpu.destroyBuffer(buffer);
  }
}
