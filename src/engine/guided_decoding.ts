/**
 * @file Sequences whose tokens are bound by a grammar: what may come next is asked of the thread that knows, and only then is
 * the next step recorded.
 *
 *     ask() --begin--> Guides --mask--> take() queue ... receive() --advance--> Guides --mask--> take() ...
 */
import type { GeneratedToken, GenerationRequest } from "../contract/generation.ts";
import type { Constraint } from "./constraint.ts";
import type { Guidance, Guides } from "./guides.ts";
import type { Sequence } from "./sequence.ts";

/** The last token of a sequence in a slot, and all that it has generated, where the GPU knows others. */
export interface Correction {
  readonly slot: number;
  readonly token: number;
  readonly request: GenerationRequest;
  readonly generated: readonly number[];
}

/** Who decides about sequences. */
export interface Desk {
  /** Lets a sequence wait for admission. */
  queue(sequence: Sequence): void;
  /** Reports tokens that count. */
  accept(sequence: Sequence, tokens: readonly GeneratedToken[]): void;
  /** Ends a sequence whose text is over. */
  stop(sequence: Sequence): void;
  /** Ends a sequence for which there is no room to go on. */
  cut(sequence: Sequence): void;
  fail(sequence: Sequence, message: string): void;
}

export class GuidedDecoding {
  /** Those that cannot wait for admission yet, as it is not known which tokens may come first. */
  readonly #asking = new Set<Sequence>();
  #corrections: Correction[] = [];

  constructor(readonly guides: Guides, readonly desk: Desk) {}

  /** Sequences of which it is not known which tokens may come first. */
  get askingCount(): number {
    return this.#asking.size;
  }

  /** Asks which tokens may come first; then the sequence is queued. */
  ask(sequence: Sequence): void {
    this.#asking.add(sequence);
    this.#beginGuidance(sequence);
  }

  /** A sequence has ended. */
  end(sequence: Sequence): void {
    this.#asking.delete(sequence);
    if (sequence.request.grammar !== undefined) this.guides.send({ type: "end", id: sequence.id });
  }

  /** Takes in what may follow a token of a sequence. */
  take(sequence: Sequence, guidance: Guidance): void {
    if (guidance.type === "failed") return this.desk.fail(sequence, guidance.message);
    const { asked } = sequence;
    const { replacement, mask, isCut } = guidance;
    if (isCut) return this.desk.cut(sequence);
    if (asked !== null) {
      sequence.asked = null;
      this.desk.accept(sequence, [replacement === null ? asked : { id: replacement }]);
      if (sequence.isFinished) return;
      if (replacement !== null) this.#correct(sequence, replacement);
    }
    // The text is over, and no token has to say so.
    if (mask === null) return this.desk.stop(sequence);
    sequence.constraint!.guide(mask);
    if (this.#asking.delete(sequence)) this.desk.queue(sequence);
  }

  /** What the GPU has to be told before the next step is recorded; each is given once. */
  takeCorrections(): Correction[] {
    const corrections = this.#corrections;
    this.#corrections = [];
    return corrections;
  }

  /** Takes in tokens of a sequence that is bound, which have been read back. */
  receive(sequence: Sequence, constraint: Constraint, tokens: readonly GeneratedToken[]): void {
    const { tokens: progress, request } = sequence;
    if (progress.isHeld) {
      progress.take(tokens);
      return this.#goOn(sequence, constraint);
    }
    const { phase } = constraint;
    const kept = tokens.slice(0, constraint.unchangedBy(tokens));
    const isStop = !constraint.runsAhead && request.stopTokens.includes(kept[0]?.id);
    if (!isStop && constraint.take(kept.map(({ id }) => id)) === "ask") {
      sequence.asked = kept[0];
      return this.guides.send({ type: "advance", id: sequence.id, token: kept[0].id });
    }
    this.desk.accept(sequence, kept);
    if (sequence.isFinished || (sequence.runsAhead && constraint.phase === phase)) return;
    constraint.isReady = false;
    progress.hold();
    progress.take(tokens.slice(kept.length));
    this.#goOn(sequence, constraint);
  }

  /** Lets a sequence go on once all that was recorded has been read back. */
  #goOn(sequence: Sequence, constraint: Constraint): void {
    const { tokens, residence: { cache } } = sequence;
    if (!tokens.isTaken) return;
    const { token, surplusRows } = tokens.release();
    if (surplusRows > 0) {
      cache.dropRecent(surplusRows);
      this.#correct(sequence, token);
    }
    if (constraint.needsGuidance) this.#beginGuidance(sequence);
    else constraint.isReady = true;
  }

  #beginGuidance({ id, request: { stopTokens }, constraint, tokens }: Sequence): void {
    this.guides.send({ type: "begin", id, grammar: constraint!.grammar, stopTokens, remaining: tokens.left });
  }

  #correct({ residence: { slot }, request, tokens: { accepted } }: Sequence, token: number): void {
    this.#corrections.push({ slot, token, request, generated: accepted });
  }
}
