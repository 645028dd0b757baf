/**
 * @file SentencePiece's BPE: the neighbouring pair whose union has the highest score is merged, again and again.
 *
 * npm's @huggingface/tokenizers merges by a list of pairs, which GGUF files of this kind do not have: they hold a score
 * for every token, and any two neighbours that make a token may merge. Hence this one of our own.
 * Source: https://github.com/google/sentencepiece, bpe_model.cc.
 */

import { byteTokenText, type Vocabulary } from "./vocabulary.ts";

/** Cuts plain text into tokens by score. */
export class SentencePieceSegmenter {
  readonly #vocabulary: Vocabulary;
  readonly #scores: ArrayLike<number>;
  /** What a byte becomes where its character is not in the vocabulary. */
  readonly #byteTokens: readonly number[];

  /**
   * @param scores one for each token; higher merges first
   * @param unknownToken for bytes that have no token of their own
   */
  constructor(vocabulary: Vocabulary, scores: ArrayLike<number>, unknownToken: number) {
    this.#vocabulary = vocabulary;
    this.#scores = scores;
    this.#byteTokens = Array.from(
      { length: 256 },
      (_, byte) => vocabulary.idOf(byteTokenText(byte)) ?? vocabulary.idOf(String.fromCharCode(byte)) ?? unknownToken,
    );
  }

  /** Special tokens are found before a text comes here; what is left of it does not spell them. */
  #idOf(piece: string): number | undefined {
    const id = this.#vocabulary.idOf(piece);
    return id === undefined || this.#vocabulary.isSpecial(id) ? undefined : id;
  }

  /** Appends the tokens of `text`, in which spaces are written `▁`, to `tokens`. */
  segment(text: string, tokens: number[]): void {
    if (text === "") return;
    // Symbol i covers text[starts[i], ends[i]); merging grows the left one and empties the right one.
    const starts: number[] = [];
    for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) starts.push(at);
    const count = starts.length;
    const ends = starts.slice(1).concat(text.length);
    const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
    const next = Int32Array.from({ length: count }, (_, i) => i + 1 < count ? i + 1 : -1);

    const merges = new MergeQueue();
    const propose = (left: number, right: number) => {
      if (left < 0 || right < 0) return;
      const id = this.#idOf(text.slice(starts[left], ends[right]));
      if (id !== undefined) merges.push({ score: this.#scores[id], left, right, end: ends[right] });
    };
    for (let i = 1; i < count; i++) propose(i - 1, i);

    for (let merge = merges.pop(); merge !== undefined; merge = merges.pop()) {
      const { left, right, end } = merge;
      // A proposal is outdated once either side has been merged with something else.
      if (next[left] !== right || ends[right] !== end || starts[left] === ends[left]) continue;
      ends[left] = end;
      starts[right] = end;
      next[left] = next[right];
      if (next[right] >= 0) previous[next[right]] = left;
      propose(previous[left], left);
      propose(left, next[left]);
    }

    for (let i = 0; i >= 0; i = next[i]) {
      const piece = text.slice(starts[i], ends[i]);
      const id = this.#idOf(piece);
      if (id !== undefined) tokens.push(id);
      else for (const byte of utf8.encode(piece)) tokens.push(this.#byteTokens[byte]);
    }
  }
}

const utf8 = new TextEncoder();

/** Two neighbouring symbols whose union, which ends at `end`, is a token. */
interface Merge {
  readonly score: number;
  readonly left: number;
  readonly right: number;
  readonly end: number;
}

/** A binary heap of merges: highest score first, then leftmost. */
class MergeQueue {
  readonly #heap: Merge[] = [];

  push(merge: Merge): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!comesBefore(merge, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = merge;
  }

  pop(): Merge | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && comesBefore(heap[child + 1], heap[child])) child++;
      if (!comesBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function comesBefore(a: Merge, b: Merge): boolean {
  return a.score > b.score || (a.score === b.score && a.left < b.left);
}
