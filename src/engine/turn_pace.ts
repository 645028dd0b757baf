/** @file How much of everything goes into a turn: decode steps, and prefill tiles alone or beside them. */
import { MAX_STEPS } from "../model/dimensions.ts";
import { Pace } from "./pace.ts";
import type { Turn } from "./turn.ts";

/** Decode steps between the prefill tiles of a turn: a prompt must not stop the others for long. */
const STEPS_BESIDE_PREFILL = 2;
/** Blocking that is borne before submits shrink, in milliseconds. */
const BEARABLE = { decode: 20, besidePrefill: 40, prefillAlone: 100 };
/** Dispatches of a submit, so that its parameters fit into the arena. */
const MOST_DISPATCHES = 6000;

export class TurnPace {
  readonly #steps: Pace;
  readonly #tiles = { alone: new Pace(8, 4096), besideDecoding: new Pace(1, 4096) };

  constructor(layerCount: number) {
    // A step takes up to nine dispatches a layer and seven more.
    const most = Math.floor(MOST_DISPATCHES / (9 * layerCount + 7));
    this.#steps = new Pace(4, Math.max(1, Math.min(MAX_STEPS, most)));
  }

  /** Most decode steps of the next turn. */
  steps(besidePrefill: boolean): number {
    return Math.min(this.#steps.amount, besidePrefill ? STEPS_BESIDE_PREFILL : MAX_STEPS);
  }

  /** Most prefill tiles of a turn that has `steps` decode steps. */
  tiles(steps: number): number {
    return this.#tilePace(steps).amount;
  }

  /** Adjusts the amounts after a turn whose mapping blocked for `blocked` milliseconds. */
  adjust({ steps, tiles }: Pick<Turn, "steps" | "tiles">, blocked: number): void {
    if (tiles > 0) {
      this.#tilePace(steps).adjust(tiles, blocked, steps > 0 ? BEARABLE.besidePrefill : BEARABLE.prefillAlone);
    } else if (steps > 0) this.#steps.adjust(steps, blocked, BEARABLE.decode);
  }

  #tilePace(steps: number): Pace {
    return steps > 0 ? this.#tiles.besideDecoding : this.#tiles.alone;
  }
}
