/** @file Copies of slots within an arena, by which packed layers close the gaps that dropped rows leave. */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { MOST_MOVES, moveSlots, moveSlotsDispatch } from "../kernels/scoring/move_slots.ts";
import type { KvElement } from "../kernels/kv_element.ts";

export class SlotMoves {
  readonly #arenas: GPUBuffer[] = [];
  /** u32 (source, target) of slots that are moved by what is being recorded, of which the first `#count` are taken. */
  #list: GPUBuffer | null = null;
  /** By arena. */
  #bindings: readonly Binding[] = [];
  #count = 0;
  /** Submits of the recorder that the moves are taken for. */
  #submits = -1;

  constructor(readonly gpu: Gpu, readonly element: KvElement, readonly headSize: number) {}

  /** Lets slots be moved within a further arena, before any has been moved. */
  addArena(arena: GPUBuffer): void {
    this.#arenas.push(arena);
  }

  /**
   * Records copies of slots of an arena.
   *
   * @param moves (source, target) of each; no slot is both
   */
  record(recorder: Recorder, arena: number, moves: Uint32Array<ArrayBuffer>): void {
    if (moves.length === 0) return;
    const { gpu, headSize } = this;
    const list = this.#list ??= this.#makeList();
    for (let done = 0; done < moves.length / 2;) {
      // The list is uploaded before anything of this submit runs: what has been written to it stays until then.
      if (recorder.submits !== this.#submits) this.#count = 0;
      if (this.#count === MOST_MOVES) {
        recorder.submit();
        this.#count = 0;
      }
      const count = Math.min(moves.length / 2 - done, MOST_MOVES - this.#count);
      gpu.write(list, this.#count * 8, moves.subarray(2 * done, 2 * (done + count)));
      recorder.dispatch(this.#bindings[arena], moveSlotsDispatch({ headSize, firstMove: this.#count, count }));
      // Only now, for the dispatch may have had to submit what came before it.
      this.#submits = recorder.submits;
      this.#count += count;
      done += count;
    }
  }

  /** All that moves need is made when the first one is recorded: loading does not wait for policies that nobody asks for. */
  #makeList(): GPUBuffer {
    const list = this.gpu.createBuffer("slot moves", MOST_MOVES * 8);
    const kernel = moveSlots(this.element);
    this.#bindings = this.#arenas.map((arena) => this.gpu.binding(kernel, [list, arena]));
    return list;
  }

  /** Frees the list. */
  destroy(): void {
    if (this.#list !== null) this.gpu.destroyBuffer(this.#list);
  }
}
