/**
 * @file The engine's loop: continuous batching of decoding sequences with layer-major prefill between their steps.
 *
 *     record(i+1) | map(i) blocks till i is done | submit(i+1) | map(i) sleeps 10 ms, i+1 runs | take in results of i | ...
 *
 * A turn is one submit: some decode steps of everything that runs, then some tiles of the prompts being prefilled. The
 * host is always a turn behind the GPU: it knows row counts and positions ahead, and learns tokens, and with them the
 * ends of sequences, afterwards. What a sequence decoded beyond its end is thrown away.
 */
import type { PolicyRegistry } from "../policy/registry.ts";
import { Recorder } from "../gpu/recorder.ts";
import { sumOf } from "../scores/score_histogram.ts";
import { decodeResult } from "../kernels/sampling/sampling_record.ts";
import { MAX_STEPS, SHORT_PACK_ROWS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import { Admission } from "./admission.ts";
import { type EvictionTransfer, recordEviction, startEvicting, stopEvicting } from "./eviction.ts";
import type { EngineStats } from "../contract/engine.ts";
import type { GeneratedToken, GenerationEvent, GenerationRequest, Resumption } from "../contract/generation.ts";
import { Pace } from "./pace.ts";
import { groupByPrompt, Pack, type ScoreTransfer, writeTables } from "./pack.ts";
import { projectRequest } from "./forecast.ts";
import { Readback, type ReadbackView } from "./readback.ts";
import { Sequence } from "./sequence.ts";

/** What a submit was recorded for. */
interface Turn {
  readonly readback: Readback;
  /** Rows of the decode batch, and how many steps of it. */
  readonly batch: readonly Sequence[];
  readonly steps: number;
  /** Logits that are reported, in order, each at its place in the readback. */
  readonly logits: readonly LogitTransfer[];
  /** Of sequences of the batch that evict after its last step. */
  readonly evictions: readonly EvictionTransfer[];
  readonly tiles: number;
  readonly transfers: readonly ScoreTransfer[];
  /** Rows of the batch of first tokens. */
  readonly firsts: readonly Sequence[];
}

/** Logits of a sequence that a submit sends to the host. */
interface LogitTransfer {
  readonly sequence: Sequence;
  readonly place: number;
}

/** Decode steps between the prefill tiles of a turn: a prompt must not stop the others for long. */
const STEPS_BESIDE_PREFILL = 2;
/** Blocking that is borne before submits shrink, in milliseconds. */
const BEARABLE = { decode: 20, besidePrefill: 40, prefillAlone: 100 };
/** Prompts are packed up to this many rows, or one of any length. */
const PACK_ROWS = 2048;
/** Packs that take turns. Any but the first have at most {@link SHORT_PACK_ROWS}. */
const MOST_PACKS = 4;
/** Dispatches of a submit, so that its parameters fit into the arena. */
const MOST_DISPATCHES = 6000;

/** A sequence's news, in order. */
export type Emit = (id: number, event: GenerationEvent) => void;

export class Scheduler {
  readonly #recorder: Recorder;
  readonly #admission: Admission;
  readonly #readbacks: Readback[];
  readonly #sequences = new Map<number, Sequence>();
  #waiting: Sequence[] = [];
  #running: Sequence[] = [];
  /** Prompts being prefilled; they take turns, the first one is next. */
  #packs: Pack[] = [];
  readonly #steps: Pace;
  readonly #tiles = { alone: new Pace(8, 4096), besideDecoding: new Pace(1, 4096) };
  #wake: () => void = () => {};
  #isClosed = false;
  readonly #counts = {
    promptTokens: 0,
    generatedTokens: 0,
    decodeSteps: 0,
    rebalances: 0,
    rebalanceSeconds: 0,
    decodeEvictions: 0,
    policyFallbacks: 0,
    encodeSeconds: 0,
  };
  readonly #evictedRows: number[];

  /** @param log takes a line for people: a policy that failed */
  constructor(
    readonly model: Model,
    readonly policies: PolicyRegistry,
    readonly emit: Emit,
    readonly log: (message: string) => void,
  ) {
    const { gpu, pool, config, dimensions } = model;
    this.#recorder = new Recorder(gpu);
    this.#admission = new Admission(pool, config.layerCount, dimensions.maxBatch);
    this.#readbacks = [new Readback(model), new Readback(model), new Readback(model)];
    // A step takes up to nine dispatches a layer and seven more.
    this.#steps = new Pace(
      4,
      Math.max(1, Math.min(MAX_STEPS, Math.floor(MOST_DISPATCHES / (9 * config.layerCount + 7)))),
    );
    this.#evictedRows = new Array(config.layerCount).fill(0);
  }

  /** Queues a sequence. */
  add(id: number, request: GenerationRequest): void {
    const { context, policy, eviction, blocks } = projectRequest(
      request,
      this.model.config,
      this.policies,
      (reason) => {
        this.#counts.policyFallbacks++;
        this.log(`KV cache policy ${request.kvCache.policy} failed, uniform budgets take its place: ${reason}`);
      },
    );
    const sequence = new Sequence(id, request, context, policy, eviction, blocks);
    this.#sequences.set(id, sequence);
    this.#waiting.push(sequence);
    this.#wake();
  }

  /** Ends a sequence wherever it is; unknown ids have ended already. */
  abort(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) this.#finish(sequence, "aborted");
  }

  /** Lets a paused sequence go on; of one that has ended, nothing is left. */
  resume(id: number, resumption: Resumption): void {
    const sequence = this.#sequences.get(id);
    if (sequence?.pausedBy === null || sequence === undefined) return;
    const { position, token } = sequence.resume(resumption);
    this.model.slots.writeToken(sequence.slot, token);
    this.model.slots.writeContinuation(sequence.slot, position, resumption.continuation.tokens);
    if (sequence.remaining === 0) return this.#finish(sequence, "length");
    this.#running.push(sequence);
    this.#wake();
  }

  stats(): EngineStats {
    const { pool, gpu } = this.model;
    return {
      ...this.#counts,
      running: this.#admission.residentCount,
      waiting: this.#waiting.length,
      submits: this.#recorder.submits,
      dispatches: this.#recorder.dispatches,
      buffersCreated: gpu.counters.buffers,
      bindGroupsCreated: gpu.counters.bindGroups,
      blocksTotal: pool.totalBlocks,
      blocksUsed: pool.usedBlocks,
      blocksPeak: pool.peakBlocks,
      blocksUsedPerLayer: Array.from(pool.usedPerLayer),
      blockBytes: pool.blockBytes,
      evictedRowsPerLayer: [...this.#evictedRows],
      gpuBytes: gpu.bytes,
    };
  }

  /** Ends the loop after the present turn. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  /** Frees the staging buffers, once {@link run} has ended. */
  destroy(): void {
    for (const readback of this.#readbacks) readback.destroy();
  }

  /** Runs until {@link close}. Rejects when the GPU fails. */
  async run(): Promise<void> {
    let inFlight: Turn | null = null;
    while (!this.#isClosed) {
      const begun = performance.now();
      const next = this.#recordTurn();
      this.#counts.encodeSeconds += (performance.now() - begun) / 1000;
      if (inFlight === null) {
        this.#submit(next);
        if (next === null) {
          await new Promise<void>((resolve) => this.#wake = resolve);
          // Requests sent at the same moment are messages of their own: let them all arrive, so that they share a pack.
          await new Promise((resolve) => setTimeout(resolve));
        }
      } else {
        const before = performance.now();
        const mapped = inFlight.readback.map();
        const blocked = performance.now() - before;
        this.#submit(next);
        await mapped;
        this.#adjustPace(inFlight, blocked);
        const turn: Turn = inFlight;
        turn.readback.take((results) => this.#takeIn(turn, results));
        this.#readbacks.push(turn.readback);
      }
      inFlight = next;
    }
    if (inFlight === null) return;
    await inFlight.readback.map();
    inFlight.readback.take(() => {});
    this.#readbacks.push(inFlight.readback);
  }

  #submit(turn: Turn | null): void {
    if (turn === null) return;
    const begun = performance.now();
    this.#recorder.submit();
    this.#counts.encodeSeconds += (performance.now() - begun) / 1000;
  }

  #recordTurn(): Turn | null {
    this.#packs = this.#packs.filter(({ isDone }) => !isDone);
    this.#admit();
    const batch = this.#running.filter(({ remaining }) => remaining > 0).sort((a, b) => a.arena - b.arena);
    const pack = this.#packs.shift();
    if (batch.length === 0 && pack === undefined) return null;
    const readback = this.#readbacks.pop();
    if (readback === undefined) throw new Error("The readback ring is empty");
    const { steps, logits } = batch.length > 0
      ? this.#recordSteps(batch, readback, pack !== undefined)
      : { steps: 0, logits: [] };
    const evictions = this.#recordEvictions(batch, readback);
    const turn = { readback, batch, steps, logits, evictions };
    if (pack === undefined) return { ...turn, tiles: 0, transfers: [], firsts: [] };

    const { tiles, transfers } = pack.record(this.#recorder, readback, this.#tilePace(steps).amount);
    if (!pack.isDone) {
      this.#packs.push(pack);
      return { ...turn, tiles, transfers, firsts: [] };
    }
    const firsts = pack.recordFirstTokens(this.#recorder);
    if (firsts.length > 0) readback.copyFirstTokens(this.#recorder);
    // Where nothing is compressed, row counts are final: decoding can go on at once.
    this.#running.push(...firsts.filter(({ policy }) => policy === null));
    return { ...turn, tiles, transfers, firsts };
  }

  #tilePace(steps: number): Pace {
    return steps > 0 ? this.#tiles.besideDecoding : this.#tiles.alone;
  }

  /** Lets waiting sequences in, first come first served, and packs their prompts. */
  #admit(): void {
    while (this.#waiting.length > 0 && this.#packs.length < MOST_PACKS) {
      const [{ request: { prompt } }] = this.#waiting;
      const most = this.#packs.length === 0 ? Math.max(PACK_ROWS, prompt.length) : SHORT_PACK_ROWS;
      const gap = this.#freeRows(prompt.length);
      if (prompt.length > most || gap === null) return;
      const admitted = this.#admitUpTo(Math.min(most, gap.rows));
      if (admitted.length === 0) return;
      this.#packs.push(new Pack(this.model, this.#recorder, admitted, gap.first));
    }
  }

  /** Lets waiting sequences in whose prompts, equal ones counted once, have at most `rows` rows together. */
  #admitUpTo(rows: number): Sequence[][] {
    const admitted: Sequence[] = [];
    let groups: Sequence[][] = [];
    while (this.#waiting.length > 0) {
      const sequence = this.#waiting[0];
      const wider = groupByPrompt([...admitted, sequence]);
      const needed = wider.reduce((sum, [{ request }]) => sum + request.prompt.length, 0);
      if (needed > rows || !this.#admission.tryAdmit(sequence)) break;
      this.#waiting.shift();
      this.#startSlot(sequence);
      admitted.push(sequence);
      groups = wider;
    }
    return groups;
  }

  #startSlot(sequence: Sequence): void {
    const { slots } = this.model;
    const { prompt, continuation } = sequence.request;
    slots.startSlot(sequence.slot, sequence.request);
    if (continuation) slots.writeContinuation(sequence.slot, prompt.length, continuation.tokens);
    if (sequence.eviction !== null) startEvicting(this.model, sequence, sequence.eviction);
  }

  /** The first run of at least `least` pack rows that no pack occupies. */
  #freeRows(least: number): { first: number; rows: number } | null {
    const packs = [...this.#packs].sort((a, b) => a.firstRow - b.firstRow);
    let first = 0;
    for (const { firstRow, endRow } of packs) {
      if (firstRow - first >= least) return { first, rows: firstRow - first };
      first = endRow;
    }
    const rows = this.model.dimensions.packRows - first;
    return rows >= least ? { first, rows } : null;
  }

  #recordSteps(
    batch: readonly Sequence[],
    readback: Readback,
    besidePrefill: boolean,
  ): { steps: number; logits: LogitTransfer[] } {
    const { decodeRows, decoder, config } = this.model;
    const longest = Math.max(...batch.map(({ remaining }) => remaining));
    const toEviction = Math.min(...batch.map(({ stepsToEviction }) => stepsToEviction));
    const reporting = batch.filter(({ willReportLogits }) => willReportLogits).length;
    const steps = Math.min(
      this.#steps.amount,
      longest,
      toEviction,
      besidePrefill ? STEPS_BESIDE_PREFILL : MAX_STEPS,
      reporting > 0 ? Math.floor(readback.logitPlaces / reporting) : MAX_STEPS,
    );
    for (const sequence of batch) {
      sequence.cache.reserveRecent(steps);
      writeTables(this.model, sequence);
    }
    decodeRows.set(batch);
    const logits: LogitTransfer[] = [];
    for (let step = 0; step < steps; step++) {
      decoder.record(this.#recorder, batch, step);
      batch.forEach((sequence, row) => {
        if (!sequence.reportsLogits(step)) return;
        logits.push({ sequence, place: readback.copyLogits(this.#recorder, row) });
      });
    }
    for (const sequence of batch) {
      for (let layer = 0; layer < config.layerCount; layer++) sequence.cache.appendRecent(layer, steps);
      sequence.recorded += steps;
    }
    this.#counts.decodeSteps += steps;
    readback.copySteps(this.#recorder, steps);
    return { steps, logits };
  }

  /** Those whose interval is over stand still until their scores have been read back. */
  #recordEvictions(batch: readonly Sequence[], readback: Readback): EvictionTransfer[] {
    const due = batch.filter(({ isEvictionDue }) => isEvictionDue);
    this.#running = this.#running.filter((sequence) => !due.includes(sequence));
    return due.map((sequence) => recordEviction(this.model, this.#recorder, readback, sequence, sequence.eviction!));
  }

  #adjustPace({ steps, tiles }: Turn, blocked: number): void {
    if (tiles > 0) {
      this.#tilePace(steps).adjust(tiles, blocked, steps > 0 ? BEARABLE.besidePrefill : BEARABLE.prefillAlone);
    } else this.#steps.adjust(steps, blocked, BEARABLE.decode);
  }

  #takeIn(turn: Turn, results: ReadbackView): void {
    for (const transfer of turn.transfers) {
      if (!transfer.sequence.isFinished) this.#takeInScores(transfer, results);
    }
    turn.firsts.forEach((sequence, row) => {
      if (sequence.isFinished) return;
      this.#startDecoding(sequence);
      this.#receive(sequence, [decodeResult(results.firstToken(row), sequence.request.topLogprobs)]);
    });
    for (const [sequence, transfers] of Map.groupBy(turn.logits, ({ sequence }) => sequence)) {
      const logits = transfers.map(({ place }) => results.logits(place));
      if (!sequence.isFinished) this.emit(sequence.id, { type: "logits", logits });
    }
    turn.batch.forEach((sequence, row) => {
      if (sequence.isFinished) return;
      const tokens: GeneratedToken[] = [];
      for (let step = 0; step < turn.steps; step++) {
        tokens.push(decodeResult(results.step(step, row), sequence.request.topLogprobs));
      }
      this.#receive(sequence, tokens);
    });
    // After the tokens: a sequence that has ended with one of them evicts nothing, whenever that was noticed.
    for (const eviction of turn.evictions) {
      if (!eviction.sequence.isFinished) this.#takeInEviction(eviction, results);
    }
  }

  #takeInEviction(eviction: EvictionTransfer, results: ReadbackView): void {
    const { sequence } = eviction;
    this.#takeInScores(eviction, results);
    sequence.forgetScores();
    const rowsPerLayer = Array.from(sequence.rankedRows, (rows, layer) => rows + sequence.recentRows[layer]);
    rowsPerLayer.forEach((rows, layer) => this.#evictedRows[layer] += eviction.heldRows[layer] - rows);
    this.#counts.decodeEvictions++;
    this.emit(sequence.id, { type: "evicted", rowsPerLayer });
    this.#running.push(sequence);
  }

  #takeInScores(transfer: ScoreTransfer, results: ReadbackView): void {
    const { sequence, policy, start, fromLayer, throughLayer, isRebalance } = transfer;
    const { cache, slot, window, request } = sequence;
    for (let layer = fromLayer; layer <= throughLayer; layer++) {
      if (policy.perHead) sequence.headHistograms.push(results.headHistograms(slot));
      sequence.histograms.push(
        policy.perHead ? sumOf(sequence.headHistograms[layer]) : results.histogram(slot, layer),
      );
      if (policy.attentionStatistics) sequence.statistics.push(results.statistics(slot, layer));
    }
    if (policy.exactScores) {
      sequence.scores.push(results.scores(start, request.prompt.length - window));
    }
    if (!isRebalance) return;
    const begun = performance.now();
    const rows = policy.allot(sequence.layerScores(policy));
    if (policy.perHead) this.#truncateHeads(sequence, rows);
    else rows.forEach((rows, layer) => cache.truncateRanked(layer, rows));
    this.#counts.rebalances++;
    this.#counts.rebalanceSeconds += (performance.now() - begun) / 1000;
  }

  /** Cuts every head to its rows, `[layer][kvHead]`. The copies run before whatever is recorded next. */
  #truncateHeads({ cache, arena }: Sequence, rows: Uint32Array): void {
    const { compressor, config: { kvHeadCount } } = this.model;
    for (let layer = 0; layer * kvHeadCount < rows.length; layer++) {
      const moves = cache.truncateHeads(layer, rows.subarray(layer * kvHeadCount, (layer + 1) * kvHeadCount));
      compressor.moveSlots(this.#recorder, arena, moves);
    }
  }

  /** The prompt is in the cache for good: says so, and lets decoding go on. */
  #startDecoding(sequence: Sequence): void {
    this.#counts.promptTokens += sequence.request.prompt.length;
    const kvCache = sequence.prefilledUsage();
    kvCache.rowsPerLayer.forEach((rows, layer) => this.#evictedRows[layer] += kvCache.promptRows - rows);
    this.emit(sequence.id, { type: "prefilled", kvCache });
    sequence.forgetScores();
    if (sequence.policy !== null) this.#running.push(sequence);
  }

  #receive(sequence: Sequence, tokens: readonly GeneratedToken[]): void {
    const { stopTokens } = sequence.request;
    const { accepted, givenEnd, end } = sequence;
    sequence.taken += tokens.length;
    if (sequence.pausedBy !== null) return this.#reportPause(sequence);
    const given = Math.min(tokens.length, Math.max(0, givenEnd - accepted));
    const drawn = tokens.slice(given, end - accepted);
    const stop = drawn.findIndex(({ id }) => stopTokens.includes(id));
    const kept = stop >= 0 ? drawn.slice(0, stop + 1) : drawn;
    sequence.accept(given, kept.map(({ id }) => id));
    this.#counts.generatedTokens += kept.length;
    if (kept.length > 0) this.emit(sequence.id, { type: "tokens", tokens: kept });
    if (stop >= 0) this.#finish(sequence, "stop");
    else if (sequence.accepted === end) this.#finish(sequence, "length");
  }

  /** Says that a sequence has paused, once nothing of it is on the GPU any more. */
  #reportPause({ id, pausedBy, recorded, taken, drawn }: Sequence): void {
    if (taken < recorded) return;
    this.emit(id, { type: "paused", reason: pausedBy!, completionTokens: drawn });
  }

  #finish(sequence: Sequence, reason: "stop" | "length" | "aborted"): void {
    this.#running = this.#running.filter((other) => other !== sequence);
    if (reason !== "aborted" && sequence.request.resumableTokens !== undefined) {
      sequence.pausedBy = reason;
      return this.#reportPause(sequence);
    }
    sequence.isFinished = true;
    this.#sequences.delete(sequence.id);
    this.#waiting = this.#waiting.filter((other) => other !== sequence);
    this.#admission.release(sequence);
    stopEvicting(sequence);
    this.emit(sequence.id, { type: "finished", reason, completionTokens: sequence.drawn });
  }
}
