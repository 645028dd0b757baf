/**
 * @file The prefix cache: keys and values of prompts that have been read, found again by their tokens, so that what a prompt has in
 * common with an earlier one is not read twice.
 *
 *     arena 0   root -- "You are a helpful as" -- "sistant. <document>" -- ... -- "What is the name"     16 tokens each, with
 *                                                                            \--- "Who wrote the le"     a block for every layer
 *               root of the salt "kP2..." -- "You are a helpful as" -- ...
 *     arena 1   root -- ...
 *
 * - Who gives a salt finds what was kept with the same salt, and nothing else; without one, what was kept without. So nobody learns
 *   from how fast an answer comes what those have asked whose salt is not known to him. Roots of salts are there as long as anything
 *   hangs on them.
 * - What is kept are whole blocks of a full cache, which hang on the tokens before them and on nothing else. What a policy has
 *   compressed, and whatever was generated behind it, never gets here.
 * - A sequence that keeps every row has the blocks in its own tables: they are shared, holders are counted (block_pool.ts), and
 *   nobody writes to them. A sequence that is compressed reads them while its prompt is read, and keeps its own selection.
 * - A sequence that keeps every row leaves its blocks here as they are. The rows of one that is compressed are stored here in
 *   addition, in blocks of a {@link PrefixDraft}, as far as there are blocks that nobody uses.
 * - Scores of rows that hang on a group of so many rows alone may be kept as well, in a slot for each group. They belong to its last
 *   block: those before it may be those of other groups, which go on in another way.
 * - Blocks that are kept and that nobody holds are free memory: they are given up when any sequence needs them, or when too many
 *   are kept; those used least recently first, and the end of a prompt before its beginning. So nothing waits for them, and no
 *   request is refused for them.
 * - The GPU does things in the order in which they are recorded. So rows can be read as soon as the copy that stores them has been
 *   recorded, and what is given up can be written over.
 *
 * The index only keeps the books, as the pool does: it holds no GPU handle.
 */
import { BLOCK_ROWS } from "./block.ts";
import type { BlockPool } from "./block_pool.ts";
import { CachedPrefix, type Chunk, isHeld, type Node, PrefixLease, type Root } from "./cached_prefix.ts";
import { ScoreSlots } from "./score_slots.ts";

/**
 * Blocks for rows of a prompt that are being stored in addition. They are idle from the start: when they are given up meanwhile, the
 * draft is abandoned.
 */
export interface PrefixDraft {
  readonly arena: number;
  /** The first of the prompt's rows that it has blocks for. */
  readonly firstRow: number;
  /** Rows that it has blocks for. */
  readonly rows: number;
  /** Whether its blocks have been given up. */
  readonly isAbandoned: boolean;
  /** Ids of a layer's blocks within the arena. */
  table(layer: number): Uint32Array<ArrayBuffer>;
  /** Its rows have been stored in every layer: lets them be found. */
  commit(): void;
  /** Gives its blocks up. Idempotent, and nothing once it has been committed. */
  abandon(): void;
}

/** What stands for no salt, which is never empty. */
const UNSALTED = "";

/** Finds, keeps and gives up prefixes. */
export class PrefixIndex {
  /** By arena, then by salt; only those that have children. */
  readonly #roots: readonly Map<string, Root>[];
  /** All chunks, those used least recently first; of those used at the same time, the last of a prompt first. */
  readonly #byRecency = new Set<Chunk>();
  readonly #drafts = new Set<Draft>();
  /** Of the groups of rows whose scores are kept. */
  readonly scoreSlots: ScoreSlots;
  #keptBlocks = 0;

  /**
   * @param mostBlocks Blocks that are kept at most; 0 keeps none
   * @param groupRows rows of a group whose scores are kept together, whole blocks
   */
  constructor(
    readonly pool: BlockPool,
    readonly layerCount: number,
    readonly mostBlocks: number,
    readonly groupRows: number,
  ) {
    this.scoreSlots = new ScoreSlots(pool, layerCount, groupRows);
    this.#roots = Array.from({ length: pool.arenaCount }, () => new Map());
    pool.giveUpIdle = (arena, count) => this.#giveUp(arena, count);
  }

  /** Whether anything is ever kept. */
  get isOn(): boolean {
    return this.mostBlocks >= this.layerCount;
  }

  /** Blocks that are kept, whether somebody holds them or not. */
  get keptBlocks(): number {
    return this.#keptBlocks;
  }

  /** Roots that there are; none has nothing behind it. */
  get rootCount(): number {
    return this.#roots.reduce((sum, roots) => sum + roots.size, 0);
  }

  /** What each arena has of the beginning of `tokens` with a salt, of its first `mostRows` rows: the longest first. */
  find(tokens: Uint32Array, mostRows: number, salt = UNSALTED): CachedPrefix[] {
    const most = Math.floor(mostRows / BLOCK_ROWS);
    return this.#roots.map((_, arena) =>
      new CachedPrefix(this.pool, arena, salt, pathOf(this.#root(arena, salt), tokens, most))
    ).sort((a, b) => b.rows - a.rows);
  }

  /** Holds a prefix that has just been found. */
  acquire(prefix: CachedPrefix): PrefixLease {
    this.#touch(prefix.chunks);
    return new PrefixLease(prefix);
  }

  /**
   * Keeps blocks of a sequence that has every row of `tokens`, as far as there is room. It must not write to them any more.
   *
   * @param table Ids of a layer's blocks within the arena
   * @param salt of those who are to find them
   */
  add(arena: number, tokens: Uint32Array, table: (layer: number) => readonly number[], salt = UNSALTED): void {
    const { path, count } = this.#begin(arena, tokens, salt);
    if (path.length < count) {
      const tables = Array.from({ length: this.layerCount }, (_, layer) => table(layer));
      const idle = this.#idleChunks(new Set(path));
      while (path.length < count && this.#makeRoom(idle)) {
        const blocks = Uint32Array.from(tables, (ids) => ids[path.length]);
        const chunk = this.#attach(path.at(-1) ?? this.#root(arena, salt), tokens, path.length, blocks);
        if (chunk === null) break;
        this.pool.keep(arena, blocks);
        this.#keptBlocks += this.layerCount;
        path.push(chunk);
      }
    }
    this.#touch(path);
  }

  /**
   * Blocks for those rows of `tokens` that an arena does not have with a salt, as far as there is room; `null` if that is nothing.
   */
  draft(arena: number, tokens: Uint32Array, salt = UNSALTED): PrefixDraft | null {
    const { path, count } = this.#begin(arena, tokens, salt);
    const idle = this.#idleChunks(new Set(path));
    const blocks: Uint32Array[] = [];
    while (path.length + blocks.length < count && this.#makeRoom(idle, arena)) {
      blocks.push(
        Uint32Array.from({ length: this.layerCount }, (_, layer) => this.pool.allocateIdle(arena, 1, layer)[0]),
      );
      this.#keptBlocks += this.layerCount;
    }
    if (blocks.length === 0) return null;
    this.#touch(path);
    const draft = new Draft(arena, salt, tokens, path.length, blocks, {
      commit: (draft) => this.#commit(draft),
      abandon: (draft) => this.#forgetDraft(draft, draft.blocks),
    });
    this.#drafts.add(draft);
    return draft;
  }

  /** Slots with the scores of a prefix, one for each group of its rows from the first on, as far as they are kept. */
  scoresOf({ chunks }: CachedPrefix): number[] {
    const blocks = this.groupRows / BLOCK_ROWS;
    const slots = Array.from(
      { length: Math.floor(chunks.length / blocks) },
      (_, group) => chunks[(group + 1) * blocks - 1].scoreSlot,
    );
    const end = slots.indexOf(null);
    return slots.slice(0, end < 0 ? slots.length : end) as number[];
  }

  /**
   * Keeps scores that have been written to slots, of groups that follow each other, where the rows of these are kept and have none yet.
   *
   * @param prefix what was found of `tokens`: says where they are kept, and with which salt
   * @param firstGroup the first one's place among those of `tokens`
   */
  keepScores(
    { arena, salt }: CachedPrefix,
    tokens: Uint32Array,
    firstGroup: number,
    slots: readonly number[],
  ): void {
    const blocks = this.groupRows / BLOCK_ROWS;
    const path = pathOf(this.#root(arena, salt), tokens, (firstGroup + slots.length) * blocks);
    slots.forEach((slot, i) => {
      const last = path[(firstGroup + i + 1) * blocks - 1];
      if (last === undefined || last.scoreSlot !== null) this.scoreSlots.free(arena, [slot]);
      else last.scoreSlot = slot;
    });
  }

  /** Forgets everything. */
  clear(): void {
    for (const { children } of this.#roots.flatMap((roots) => [...roots.values()])) {
      for (const chunk of children.values()) this.#remove(chunk);
    }
    for (const draft of this.#drafts) draft.abandon();
  }

  /** What is kept already of all whole blocks of `tokens`, and how many of these there are. */
  #begin(arena: number, tokens: Uint32Array, salt: string): { path: Chunk[]; count: number } {
    const count = this.isOn ? Math.floor(tokens.length / BLOCK_ROWS) : 0;
    return { path: pathOf(this.#root(arena, salt), tokens, count), count };
  }

  /** The root of a salt; where there is none, one that nothing hangs on yet. */
  #root(arena: number, salt: string): Root {
    return this.#roots[arena].get(salt) ?? { arena, salt, children: new Map() };
  }

  /** A new chunk behind a parent, for the tokens of a place; `null` if another has its hash. */
  #attach(parent: Root | Chunk, tokens: Uint32Array, place: number, blocks: Uint32Array): Chunk | null {
    const first = place * BLOCK_ROWS;
    const hash = hashOf(tokens, first);
    if (parent.children.has(hash)) return null;
    const chunk: Chunk = {
      arena: parent.arena,
      parent,
      tokens: tokens.slice(first, first + BLOCK_ROWS),
      hash,
      blocks,
      scoreSlot: null,
      children: new Map(),
    };
    parent.children.set(hash, chunk);
    if ("salt" in parent) this.#roots[parent.arena].set(parent.salt, parent);
    return chunk;
  }

  /** Puts the chunks of a path behind all others, its first one last. */
  #touch(path: readonly Chunk[]): void {
    for (const chunk of path.toReversed()) {
      this.#byRecency.delete(chunk);
      this.#byRecency.add(chunk);
    }
  }

  /** Chunks that nobody holds, but for the spared ones, in the order in which they are to be given up. */
  *#idleChunks(spared: ReadonlySet<Chunk>): Generator<Chunk, undefined> {
    for (const chunk of this.#byRecency) {
      if (!spared.has(chunk) && !isHeld(this.pool, chunk)) yield chunk;
    }
  }

  /**
   * Gives chunks up until one more can be kept; and until an arena, if it is given, has the blocks for it.
   *
   * @param idle what can be given up
   */
  #makeRoom(idle: Generator<Chunk, undefined>, arena?: number): boolean {
    while (
      this.#keptBlocks + this.layerCount > this.mostBlocks ||
      (arena !== undefined && this.pool.emptyBlocks(arena) < this.layerCount)
    ) {
      const chunk = idle.next().value;
      if (chunk === undefined) return false;
      this.#remove(chunk);
    }
    return true;
  }

  #giveUp(arena: number, count: number): void {
    const wanted = this.pool.emptyBlocks(arena) + count;
    const isEnough = () => this.pool.emptyBlocks(arena) >= wanted;
    for (const chunk of this.#idleChunks(new Set())) {
      if (isEnough()) return;
      if (chunk.arena === arena) this.#remove(chunk);
    }
    for (const draft of this.#drafts) {
      if (isEnough()) return;
      if (draft.arena === arena) draft.abandon();
    }
  }

  /** Forgets a chunk, and all that follow it: without it they are not found. */
  #remove(chunk: Chunk): void {
    const { parent } = chunk;
    parent.children.delete(chunk.hash);
    if ("salt" in parent && parent.children.size === 0) this.#roots[parent.arena].delete(parent.salt);
    const open = [chunk];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      open.push(...next.children.values());
      this.#byRecency.delete(next);
      this.pool.forget(next.arena, next.blocks);
      if (next.scoreSlot !== null) this.scoreSlots.free(next.arena, [next.scoreSlot]);
      this.#keptBlocks -= this.layerCount;
    }
  }

  #commit(draft: Draft): void {
    const { arena, salt, tokens, firstChunk, blocks } = draft;
    const path = pathOf(this.#root(arena, salt), tokens, firstChunk + blocks.length);
    // Others may have stored the same, or given up what comes before.
    let stored = path.length - firstChunk;
    const surplus = stored < 0 ? blocks : blocks.slice(0, stored);
    if (stored >= 0) {
      for (; stored < blocks.length; stored++) {
        const chunk = this.#attach(path.at(-1) ?? this.#root(arena, salt), tokens, path.length, blocks[stored]);
        if (chunk === null) break;
        path.push(chunk);
      }
      surplus.push(...blocks.slice(stored));
      this.#touch(path);
    }
    this.#forgetDraft(draft, surplus);
  }

  #forgetDraft(draft: Draft, surplus: readonly Uint32Array[]): void {
    this.#drafts.delete(draft);
    for (const blocks of surplus) this.pool.forget(draft.arena, blocks);
    this.#keptBlocks -= surplus.length * this.layerCount;
  }
}

class Draft implements PrefixDraft {
  #isOpen = true;
  isAbandoned = false;

  /** @param blocks of every chunk, those of each layer */
  constructor(
    readonly arena: number,
    readonly salt: string,
    readonly tokens: Uint32Array,
    readonly firstChunk: number,
    readonly blocks: Uint32Array[],
    private readonly close: Readonly<Record<"commit" | "abandon", (draft: Draft) => void>>,
  ) {}

  get firstRow(): number {
    return this.firstChunk * BLOCK_ROWS;
  }

  get rows(): number {
    return this.blocks.length * BLOCK_ROWS;
  }

  table(layer: number): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(this.blocks, (blocks) => blocks[layer]);
  }

  commit(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.close.commit(this);
  }

  abandon(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.isAbandoned = true;
    this.close.abandon(this);
  }
}

/** The chunks of `tokens` that follow a root, at most `most`. */
function pathOf(root: Root, tokens: Uint32Array, most: number): Chunk[] {
  const path: Chunk[] = [];
  for (let parent: Node = root; path.length < most;) {
    const first = path.length * BLOCK_ROWS;
    const child = parent.children.get(hashOf(tokens, first));
    if (child === undefined || child.tokens.some((token, i) => token !== tokens[first + i])) break;
    path.push(child);
    parent = child;
  }
  return path;
}

/** A number for the `BLOCK_ROWS` tokens from `first` on, which need not be unique: tokens are compared. */
function hashOf(tokens: Uint32Array, first: number): number {
  let hash = 0;
  for (let i = first; i < first + BLOCK_ROWS; i++) {
    hash = Math.imul(hash ^ tokens[i], 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
