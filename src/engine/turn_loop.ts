/**
 * @file The engine's loop: continuous batching of decoding sequences with layer-major prefill between their steps.
 *
 *     record(i+1) | map(i) blocks till i is done | submit(i+1) | map(i) sleeps 10 ms, i+1 runs | take in results of i | ...
 *
 * A turn is one submit: some decode steps of everything that runs, then some tiles of the prompts being prefilled. The
 * host is always a turn behind the GPU: it knows row counts and positions ahead, and learns tokens, and with them the
 * ends of sequences, afterwards. What a sequence decoded beyond its end is thrown away. A sequence under a grammar takes part
 * in a turn only when its token of the last one is known, and which may follow it: see constraint.ts and guides.ts.
 */
import type { EngineStats } from "../contract/engine.ts";
import type { GenerationRequest, Resumption } from "../contract/generation.ts";
import { Recorder } from "../gpu/recorder.ts";
import type { Model } from "../model/model.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { type Guidance, type Guides, type GuidesMaker, NO_GUIDANCE } from "./guides.ts";
import { Packs } from "./packs.ts";
import { Readback } from "./readback.ts";
import { recordEviction } from "./record_eviction.ts";
import { recordSteps } from "./record_steps.ts";
import { type Emit, Scheduler } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";
import { takeIn } from "./take_in.ts";
import type { Turn } from "./turn.ts";
import { TurnPace } from "./turn_pace.ts";

export class TurnLoop {
  readonly #scheduler: Scheduler;
  readonly #guides: Guides;
  readonly #recorder: Recorder;
  readonly #packs: Packs;
  readonly #pace: TurnPace;
  readonly #readbacks: Readback[];
  #wake: () => void = () => {};
  #isClosed = false;

  /** @param log takes a line for people: a policy that failed */
  constructor(
    readonly model: Model,
    policies: PolicyRegistry,
    emit: Emit,
    log: (message: string) => void,
    makeGuides: GuidesMaker = NO_GUIDANCE,
  ) {
    const { gpu, prefixIndex, config, dimensions } = model;
    this.#guides = makeGuides((guidance) => this.#guide(guidance));
    this.#scheduler = new Scheduler(config, policies, prefixIndex, dimensions.maxBatch, emit, log, this.#guides);
    this.#recorder = new Recorder(gpu);
    this.#packs = new Packs(model, this.#recorder);
    this.#pace = new TurnPace(config.layerCount);
    this.#readbacks = [new Readback(model), new Readback(model), new Readback(model)];
  }

  /** Queues a sequence. */
  add(id: number, request: GenerationRequest): void {
    this.#scheduler.add(id, request);
    this.#wake();
  }

  /** Ends a sequence wherever it is; unknown ids have ended already. */
  abort(id: number): void {
    this.#scheduler.abort(id);
    // What it held may be what others wait for.
    this.#wake();
  }

  /** Lets a paused sequence go on; of one that has ended, nothing is left. */
  resume(id: number, resumption: Resumption): void {
    const resumed = this.#scheduler.resume(id, resumption);
    if (resumed === null) return;
    const { slots } = this.model;
    slots.writeToken(resumed.slot, resumed.token);
    slots.writeContinuation(resumed.slot, resumed.position, resumption.continuation.tokens);
    this.#wake();
  }

  stats(): EngineStats {
    const { pool, prefixIndex, gpu } = this.model;
    const { counters, residentCount, waitingCount } = this.#scheduler;
    return {
      ...counters,
      evictedRowsPerLayer: [...counters.evictedRowsPerLayer],
      policyFallbacks: { ...counters.policyFallbacks },
      unusableScores: { ...counters.unusableScores },
      running: residentCount,
      waiting: waitingCount,
      submits: this.#recorder.submits,
      dispatches: this.#recorder.dispatches,
      buffersCreated: gpu.counters.buffers,
      bindGroupsCreated: gpu.counters.bindGroups,
      blocksTotal: pool.totalBlocks,
      blocksUsed: pool.usedBlocks,
      blocksPeak: pool.peakBlocks,
      blocksUsedPerLayer: Array.from(pool.usedPerLayer),
      blocksCached: prefixIndex.keptBlocks,
      blockBytes: pool.blockBytes,
      gpuBytes: gpu.bytes,
    };
  }

  /** Takes in what may follow a token of a sequence. */
  #guide(guidance: Guidance): void {
    this.#scheduler.guide(guidance);
    this.#correct();
    this.#wake();
  }

  /** Tells the GPU the last tokens of sequences where they are others than it drew last. */
  #correct(): void {
    const { slots } = this.model;
    for (const { slot, token, request, generated } of this.#scheduler.takeCorrections()) {
      slots.writeToken(slot, token);
      slots.writeCounts(slot, request, generated);
    }
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
      const next = this.#encoding(() => this.#recordTurn());
      if (inFlight === null) {
        this.#submit(next);
        if (next === null) await this.#work();
      } else {
        const before = performance.now();
        const mapped = this.#map(inFlight);
        const blocked = performance.now() - before;
        this.#submit(next);
        await mapped;
        this.#pace.adjust(inFlight, blocked);
        this.#take(inFlight);
      }
      inFlight = next;
    }
    this.#guides.close();
    if (inFlight === null) return;
    await this.#map(inFlight);
    inFlight.readback.take(() => {});
    this.#readbacks.push(inFlight.readback);
  }

  /** Waits until there may be something to do. */
  async #work(): Promise<void> {
    await new Promise<void>((resolve) => this.#wake = resolve);
    // Requests sent at the same moment are messages of their own: let them all arrive, so that they share a pack.
    await new Promise((resolve) => setTimeout(resolve));
  }

  /** Counts the time that something takes as spent on recording and submitting. */
  #encoding<Result>(action: () => Result): Result {
    const begun = performance.now();
    const result = action();
    this.#scheduler.counters.encodeSeconds += (performance.now() - begun) / 1000;
    return result;
  }

  /** Starts mapping a turn's results; blocks while submitted work runs. */
  async #map({ readback, hostScorings, positions }: Turn): Promise<void> {
    await Promise.all([
      readback.map(),
      ...hostScorings.map(({ read }) => read.map()),
      ...positions.map((transfer) => transfer.map()),
    ]);
  }

  #submit(turn: Turn | null): void {
    if (turn !== null) this.#encoding(() => this.#recorder.submit());
  }

  #take(turn: Turn): void {
    turn.readback.take((results) => takeIn(this.model, this.#recorder, this.#scheduler, turn, results));
    this.#correct();
    this.#readbacks.push(turn.readback);
  }

  #recordTurn(): Turn | null {
    this.#packs.fill(this.#scheduler);
    const { batch } = this.#scheduler;
    const pack = this.#packs.next();
    if (batch.length === 0 && pack === undefined) return null;
    const readback = this.#readbacks.pop();
    if (readback === undefined) throw new Error("The readback ring is empty");
    const decoding = this.#recordDecoding(batch, readback, pack !== undefined);
    const turn = { readback, batch, ...decoding };
    if (pack === undefined) {
      const reading = { sequences: [], layersRead: 0, share: 0 };
      return { ...turn, tiles: 0, transfers: [], hostScorings: [], positions: [], reading, firsts: [], embedded: [] };
    }

    const read = pack.record(this.#recorder, readback, this.#pace.tiles(decoding.steps));
    const { sequences, layersRead, share } = pack;
    const positions = sequences.flatMap(({ residence }) => residence.positions?.transfer() ?? []);
    const prefill = { ...turn, ...read, positions, reading: { sequences, layersRead, share } };
    if (!pack.isDone) return { ...prefill, firsts: [], embedded: [] };
    pack.end();
    const firsts = pack.recordFirstTokens(this.#recorder);
    if (firsts.length > 0) readback.copyFirstTokens(this.#recorder);
    const embedded = pack.recordEmbeddings(this.#recorder, readback);
    this.#scheduler.prefillRecorded(firsts);
    return { ...prefill, firsts, embedded };
  }

  /** Records steps of the batch, and the evictions of those whose interval is over then: they stand still until it is done. */
  #recordDecoding(
    batch: readonly Sequence[],
    readback: Readback,
    besidePrefill: boolean,
  ): Pick<Turn, "steps" | "free" | "logits" | "evictions"> {
    if (batch.length === 0) return { steps: 0, free: 0, logits: [], evictions: [] };
    const [model, recorder] = [this.model, this.#recorder];
    const recorded = recordSteps(model, recorder, readback, batch, this.#pace.steps(besidePrefill));
    this.#scheduler.counters.decodeSteps += recorded.steps;
    const evictions = this.#scheduler.standStill(batch).map((sequence) =>
      recordEviction(model, recorder, readback, sequence, sequence.eviction!)
    );
    return { ...recorded, evictions };
  }
}
