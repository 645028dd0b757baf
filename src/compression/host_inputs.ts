/**
 * @file What steps are told on the host of a layer that has just been read: copied to a buffer that can be mapped, while the layer's
 * keys, values and queries still lie in the scratch.
 *
 *     | keys [kvHead][row][headSize] | values | attention [kvHead][row] | sums of queries [chunk][queryHead][..] |
 *       only what is asked for
 */
import type { Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { kvElementBytes } from "../kernels/kv_element.ts";
import { querySums, querySumsDispatch, querySumsWords } from "../kernels/scoring/linear_scores.ts";
import { attention } from "../policy/steps/attention.ts";
import type { HostInput, HostInputs, QueryStatistics } from "../policy/steps/step_rules.ts";
import { layerQueriesBuffer } from "./layer_queries.ts";
import type { ScoredSegment, ScoringWork } from "./scoring_work.ts";
import { recordAttention } from "./steps/attention.ts";

/** Inputs on their way to the host; for one layer. */
export class HostRead {
  readonly #staging: GPUBuffer;

  /** @param parts where each input lies, in bytes, and what is made of it */
  constructor(
    readonly gpu: Gpu,
    bytes: number,
    private readonly parts: readonly HostReadPart[],
  ) {
    this.#staging = gpu.createBuffer("inputs of steps on the host", bytes, GPUBufferUsage.MAP_READ);
  }

  /** Records the copies. */
  record(recorder: Recorder): void {
    for (const { offset, copies } of this.parts) {
      let at = offset;
      for (const { source, from, bytes } of copies) {
        recorder.copy(source, from, this.#staging, at, bytes);
        at += bytes;
      }
    }
  }

  /** Starts mapping; await the result before {@link take}. */
  map(): Promise<undefined> {
    return this.#staging.mapAsync(GPUMapMode.READ);
  }

  /** The inputs, as copies of their own. Frees the buffer. */
  take(): HostInputs {
    const mapped = this.#staging.getMappedRange();
    const inputs = Object.fromEntries(this.parts.map(({ input, offset, copies, make }) => {
      const bytes = copies.reduce((sum, copy) => sum + copy.bytes, 0);
      return [input, make(mapped.slice(offset, offset + bytes))];
    }));
    this.#staging.unmap();
    this.gpu.destroyBuffer(this.#staging);
    return inputs;
  }
}

interface HostReadPart {
  readonly input: HostInput;
  readonly offset: number;
  readonly copies: readonly { readonly source: GPUBuffer; readonly from: number; readonly bytes: number }[];
  make(bytes: ArrayBuffer): HostInputs[HostInput];
}

/**
 * Records what is needed of the segment, whose layer has been read.
 *
 * @param window rows at its end that get no score
 */
export function recordHostRead(
  work: ScoringWork,
  recorder: Recorder,
  inputs: readonly HostInput[],
  segment: ScoredSegment,
  window: number,
): HostRead {
  const parts: HostReadPart[] = [];
  let offset = 0;
  for (const input of new Set(inputs)) {
    const part = PARTS[input](work, recorder, segment, window);
    parts.push({ input, offset, ...part });
    offset += part.copies.reduce((sum, { bytes }) => sum + bytes, 0);
    // Views of numbers begin at whole ones, and copies at multiples of 4 bytes.
    offset = Math.ceil(offset / 16) * 16;
  }
  const read = new HostRead(work.gpu, Math.max(offset, 4), parts);
  read.record(recorder);
  return read;
}

type PartOf = (
  work: ScoringWork,
  recorder: Recorder,
  segment: ScoredSegment,
  window: number,
) => Pick<HostReadPart, "copies" | "make">;

const PARTS: Readonly<Record<HostInput, PartOf>> = {
  keys: (work, _recorder, segment) => rowsOf(work, work.buffers.keys, segment),
  values: (work, _recorder, segment) => rowsOf(work, work.buffers.values, segment),
  attention(work, recorder, segment, window) {
    recordAttention(work, recorder, attention({ window }), { ...segment, statistics: false });
    const { kvHeadCount, capacity } = work.options;
    // The scores of the next step go to the same buffer.
    const kept = work.scratch("attention for the host", work.rowBytes);
    recorder.copy(work.scores, 0, kept, 0, work.rowBytes);
    const copies = Array.from({ length: kvHeadCount }, (_, head) => ({
      source: kept,
      from: head * capacity * 4,
      bytes: segment.scored * 4,
    }));
    return { copies, make: (bytes) => new Float32Array(bytes) };
  },
  queryStatistics(work, recorder, { start, length }) {
    const { queryHeadCount, headSize, capacity, rotary } = work.options;
    const { ropeTable } = work.buffers;
    if (rotary === undefined || ropeTable === undefined) {
      throw new Error("Query statistics need the model's rotary embedding");
    }
    const bytesOf = (rows: number) => querySumsWords(queryHeadCount, headSize, rows) * 4;
    const sums = work.scratch("sums of queries", bytesOf(capacity));
    const kernel = work.made("query sums", ({ headSize }) => querySums(headSize, rotary.pairing));
    const dispatch = querySumsDispatch({ queryHeadCount, start, length });
    work.dispatch(recorder, kernel, [layerQueriesBuffer(work), ropeTable, sums], dispatch);
    return {
      copies: [{ source: sums, from: 0, bytes: bytesOf(length) }],
      make: (bytes) => queryStatistics(new Float32Array(bytes), queryHeadCount, headSize, length),
    };
  },
};

function rowsOf(
  { options: { kvHeadCount, headSize, capacity, element } }: ScoringWork,
  source: GPUBuffer,
  { start, length }: ScoredSegment,
): Pick<HostReadPart, "copies" | "make"> {
  const rowBytes = headSize * kvElementBytes(element);
  const copies = Array.from({ length: kvHeadCount }, (_, head) => ({
    source,
    from: (head * capacity + start) * rowBytes,
    bytes: length * rowBytes,
  }));
  const make = (bytes: ArrayBuffer) =>
    element === "f16" ? Float32Array.from(new Float16Array(bytes)) : new Float32Array(bytes);
  return { copies, make };
}

/** Means of sums by chunk, `[chunk][queryHead][headSize + headSize / 2]`. */
function queryStatistics(
  sums: Float32Array,
  queryHeadCount: number,
  headSize: number,
  length: number,
): QueryStatistics {
  const words = headSize + headSize / 2;
  const totals = new Float64Array(queryHeadCount * words);
  for (let i = 0; i < sums.length; i++) totals[i % totals.length] += sums[i];
  const part = (from: number, count: number) =>
    Float32Array.from(
      { length: queryHeadCount * count },
      (_, i) => totals[Math.floor(i / count) * words + from + i % count] / length,
    );
  return { mean: part(0, headSize), meanMagnitude: part(headSize, headSize / 2) };
}
