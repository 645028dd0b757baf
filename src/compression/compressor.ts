/**
 * @file Compression of one layer's keys and values after its attention: score the rows, rank them, gather the kept ones.
 *
 *     keys, values, queries --step--> scores --step--> ... scores --top rows--> indices
 *                                                             \--> histogram       |
 *     keys, values, indices, block table --gather--> blocks of an arena  <---------/
 *
 * What the scores are is the policy's business: its list of steps is walked (see steps/steps.ts). The GPU runs things in the
 * order in which they are recorded, so all of the scratch is used again by the next segment and the next layer. Nothing is
 * created per call, except what a step needs when it is first used: loading does not wait for policies that nobody asks for.
 */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { countScores, countScoresDispatch } from "../kernels/scoring/count_scores.ts";
import { gatherRows, gatherRowsDispatch } from "../kernels/scoring/gather_rows.ts";
import { allSteps, type HostStep, type Score, windowOf } from "../policy/steps.ts";
import type { Wgsl } from "../policy/steps/wgsl.ts";
import { attention } from "../policy/steps/attention.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import { addAttention, keepAttention, type KeptRows, resumeAttention, type TileRows } from "./attention_sums.ts";
import type { CarriedAttention } from "./carried_attention.ts";
import { type HostRead, recordHostRead } from "./host_inputs.ts";
import { keepQueries } from "./layer_queries.ts";
import { recordRanking } from "./ranking.ts";
import { type CompressorBuffers, type CompressorOptions, ScoringWork, type SegmentScoring } from "./scoring_work.ts";
import { SlotMoves } from "./slot_moves.ts";
import { recordStep } from "./steps/steps.ts";
import { compileWgsl, unusableScoresBuffer, userScoresVariant } from "./steps/wgsl.ts";

/** Rows of a pack and where they go. */
export interface RowGather {
  /** First row of the pack to copy; where the rows are ranked, the first row of their segment. */
  readonly start: number;
  readonly count: number;
  /** Entry of the table with the block of slot 0. */
  readonly tableOffset: number;
  /** Slot of the first row copied; 0 if not given. */
  readonly slot?: number;
}

/** Scores, ranks and gathers rows; one per engine. */
export class Compressor {
  readonly #work: ScoringWork;
  /** What was compiled of what plugins bring. */
  readonly #compiled = new Set<string>();
  readonly #moves: SlotMoves;
  /** By arena. */
  readonly #gathers: Binding[] = [];

  constructor(
    readonly gpu: Gpu,
    readonly options: CompressorOptions,
    readonly buffers: CompressorBuffers,
  ) {
    this.#work = new ScoringWork(gpu, options, buffers);
    this.#moves = new SlotMoves(gpu, options.element, options.headSize);
  }

  /** f32 `[kvHead][capacity]`: scores of the segment scored last, `length - window` of them per head. */
  get scores(): GPUBuffer {
    return this.#work.scores;
  }

  /** Positions u32 `[kvHead][capacity]` of the segment ranked last, best first, relative to its start. */
  get indices(): GPUBuffer {
    return this.#work.indices;
  }

  /**
   * Lets rows be gathered into an arena of blocks: KV elements
   * `[block][kvHead][key = 0 | value = 1][BLOCK_ROWS][headSize]`.
   *
   * @returns the arena's index, counted from 0
   */
  addArena(buffer: GPUBuffer): number {
    const { keys, values, table } = this.buffers;
    const kernel = gatherRows(this.options.element);
    this.#moves.addArena(buffer);
    return this.#gathers.push(this.gpu.binding(kernel, [keys, values, this.indices, table, buffer])) - 1;
  }

  /** See {@link addAttention}: scores that need attention sums need this for every row of a layer, in order. */
  addAttention(recorder: Recorder, rows: TileRows): void {
    addAttention(this.#work, recorder, rows);
  }

  /** See {@link keepAttention}. */
  keepAttention(recorder: Recorder, carried: CarriedAttention, layer: number, kept: KeptRows): void {
    keepAttention(this.#work, recorder, carried, layer, kept);
  }

  /** See {@link resumeAttention}. */
  resumeAttention(recorder: Recorder, carried: CarriedAttention, layer: number, ranked: number): void {
    resumeAttention(this.#work, recorder, carried, layer, ranked);
  }

  /** See {@link keepQueries}: scores that need the layer's queries need this for every row of a layer. */
  keepQueries(recorder: Recorder, row: number, count: number): void {
    keepQueries(this.#work, recorder, row, count);
  }

  /**
   * Scores all rows of a segment before its window, and adds their histogram to the layer record; if `statistics` are wanted,
   * writes to it how the attention of the window's rows, at most `MAX_WINDOW`, is spread.
   *
   * @throws {RangeError} when the segment cannot be scored
   */
  scoreSegment(recorder: Recorder, segment: SegmentScoring, score: Score, statistics = false): void {
    const { start, length, recordOffset, headHistograms } = segment;
    const { capacity } = this.options;
    const window = windowOf(score);
    if (length <= window) {
      throw new RangeError(`Cannot score a prompt of ${length} rows: expected more than the ${window} of its window`);
    }
    if (start + length > capacity) {
      throw new RangeError(`Cannot score rows up to ${start + length}: the pack holds ${capacity}`);
    }
    const scored = { ...segment, scored: length - window, statistics };
    const work = this.#work;
    work.begin();
    if (statistics && score[0].name !== "attention") {
      // For the statistics alone: the scores are written over.
      recordStep(work, recorder, attention({ window: Math.min(window, MAX_WINDOW) }), scored);
    }
    for (const step of score) recordStep(work, recorder, step, scored);
    const histogram = { histogramOffset: headHistograms ?? recordOffset, byHead: headHistograms !== undefined };
    const counting = countScoresDispatch({ ...this.options, length: scored.scored, ...histogram });
    work.dispatch(recorder, countScores, [work.scores, this.buffers.layerRecords], counting);
  }

  /**
   * Compiles the kernel that a step brings. Only those that have been compiled without error may be scored with.
   *
   * @returns why it cannot be compiled, and where in its code; `null` if it can
   */
  async compile(step: Wgsl): ReturnType<typeof compileWgsl> {
    const fault = await compileWgsl(this.gpu, userScoresVariant(this.options, step));
    if (fault === null) this.#compiled.add(kernelOf(step));
    return fault;
  }

  /** The score. @throws {TypeError} if it has a kernel that has not been compiled */
  runnable(score: Score): Score {
    for (const step of allSteps(score)) {
      if (step.name !== "wgsl" || this.#compiled.has(kernelOf(step))) continue;
      throw new TypeError(
        "The code of wgsl() is not the one that was compiled when the plugin was loaded: it must be the same for all prompts and " +
          "options, which uniforms can tell it of",
      );
    }
    return score;
  }

  /** Records that a counter of {@link unusableScores} starts anew. */
  clearUnusable(recorder: Recorder, counter: number): void {
    recorder.clear(this.unusableScores, counter * 4, 4);
  }

  /** u32 `[counter]`: scores by kernels of plugins that were no numbers of at least 0, and count as 0. */
  get unusableScores(): GPUBuffer {
    return unusableScoresBuffer(this.#work);
  }

  /**
   * Records the way to the host of what steps of a score need there. The layer must have been read, and must not be scored before
   * what they make of it has been given to {@link hostNumbers}.
   */
  readForHost(recorder: Recorder, segment: SegmentScoring, score: Score, steps: readonly HostStep[]): HostRead {
    const window = windowOf(score);
    const scored = { ...segment, scored: segment.length - window, statistics: false };
    this.#work.begin();
    return recordHostRead(this.#work, recorder, steps.flatMap(({ inputs }) => inputs), scored, window);
  }

  /**
   * A buffer of numbers that the host has computed for a step.
   *
   * @param owner tells apart the steps of all prompts that are being read
   */
  hostNumbers(owner: string, numbers: Float32Array<ArrayBuffer>): GPUBuffer {
    const { kvHeadCount, capacity, headSize } = this.options;
    // Scores, or coefficients of each KV head.
    const bytes = kvHeadCount * Math.max(capacity, 2 * headSize) * 4;
    const buffer = this.#work.scratch(`numbers of the host for ${owner}`, bytes);
    this.gpu.write(buffer, 0, numbers);
    return buffer;
  }

  /**
   * Ranks the segment scored last: {@link indices} then starts with the `count` best rows of each KV head.
   *
   * @throws {RangeError} when there are fewer rows than `count`
   */
  rankSegment(
    recorder: Recorder,
    { length, window, count }: { readonly length: number; readonly window: number; readonly count: number },
  ): void {
    const scored = length - window;
    if (count > scored) throw new RangeError(`Cannot keep ${count} ranked rows: only ${scored} were scored`);
    if (count > 0) recordRanking(this.#work, recorder, this.scores, scored, count);
  }

  /** Copies the `count` best rows of the segment ranked last into the blocks listed in the table from `tableOffset` on. */
  gatherRanked(recorder: Recorder, arena: number, rows: RowGather): void {
    this.#gather(recorder, arena, rows, true);
  }

  /** Copies rows `start` to `start + count` of the pack into the blocks listed in the table from `tableOffset` on. */
  gatherRange(recorder: Recorder, arena: number, rows: RowGather): void {
    this.#gather(recorder, arena, rows, false);
  }

  /**
   * Copies slots of an arena.
   *
   * @param moves (source, target) of each; no slot is both
   */
  moveSlots(recorder: Recorder, arena: number, moves: Uint32Array<ArrayBuffer>): void {
    this.#moves.record(recorder, arena, moves);
  }

  /** Frees the scratch. The buffers given at construction and the arenas stay. */
  destroy(): void {
    this.#work.destroy();
    this.#moves.destroy();
  }

  #gather(recorder: Recorder, arena: number, rows: RowGather, isRanked: boolean): void {
    const shape = { ...this.options, indexCapacity: this.options.capacity, isRanked, ...rows };
    recorder.dispatch(this.#gathers[arena], gatherRowsDispatch(shape));
  }
}

function kernelOf({ code, uniforms }: Wgsl): string {
  return `${Object.keys(uniforms)} ${code}`;
}
