/**
 * @file The order in which long texts are encoded: fair to short ones and to those who ask for few, by start-time fair queueing.
 *
 * Every item has a cost, and every item that waits is due at
 *
 *     max(cost of all that has been taken, when the last item of its owner is due) + its own cost
 *
 * and the one that is due first is taken. So a short text overtakes long ones, a long one is overtaken by at most its own length
 * of others, and one client's hundred texts line up behind each other rather than in front of everyone else.
 */

import { QueueFullError } from "../contract/errors.ts";

/** What may wait at the same time. */
export interface QueueLimits {
  readonly items: number;
  /** Of all items that wait. */
  readonly cost: number;
}

interface Waiting<T> {
  readonly item: T;
  readonly cost: number;
  readonly due: number;
}

export class FairQueue<T> {
  readonly #limits: QueueLimits;
  readonly #waiting: Waiting<T>[] = [];
  readonly #dueOfOwner = new WeakMap<object, number>();
  #waitingCost = 0;
  #takenCost = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /**
   * @param owner whose items count together; each of undefined's by itself
   * @throws {QueueFullError} when more would wait than may
   */
  add(item: T, cost: number, owner?: object): void {
    if (this.#waiting.length >= this.#limits.items || this.#waitingCost + cost > this.#limits.cost) {
      throw new QueueFullError("Too many long texts wait to be encoded; try again soon");
    }
    const due = Math.max(this.#takenCost, owner === undefined ? 0 : this.#dueOfOwner.get(owner) ?? 0) + cost;
    if (owner !== undefined) this.#dueOfOwner.set(owner, due);
    this.#waiting.push({ item, cost, due });
    this.#waitingCost += cost;
  }

  /** The next item; undefined where none waits. */
  take(): T | undefined {
    let next = 0;
    for (let i = 1; i < this.#waiting.length; i++) if (this.#waiting[i].due < this.#waiting[next].due) next = i;
    const taken = this.#removeAt(next);
    this.#takenCost += taken?.cost ?? 0;
    return taken?.item;
  }

  /** Drops an item that waits; nothing where it does not. */
  drop(item: T): void {
    const at = this.#waiting.findIndex((waiting) => waiting.item === item);
    if (at >= 0) this.#removeAt(at);
  }

  /** Empties the queue. */
  takeAll(): T[] {
    this.#waitingCost = 0;
    return this.#waiting.splice(0).map(({ item }) => item);
  }

  #removeAt(at: number): Waiting<T> | undefined {
    const [removed] = this.#waiting.splice(at, 1);
    this.#waitingCost -= removed?.cost ?? 0;
    return removed;
  }
}
