/**
 * @file A file that is being downloaded: `NAME.part`, as large as the whole from the start, and `NAME.part.json`, which says how
 * far each of its chunks is. A process may be killed at any time: what the second says is in the first.
 */
import { HubError } from "./hub_error.ts";
import { systemReason } from "../formats/system_reason.ts";

/** What tells that a later download is one of the same file. */
export interface FileIdentity {
  /** In bytes. */
  readonly size: number;
  /** SHA-256, Git's id or the ETag. */
  readonly id: string;
}

interface State extends FileIdentity {
  readonly chunkBytes: number;
  /** Bytes of each chunk that are there. */
  readonly done: number[];
}

/** Milliseconds between two notes of how far a download is. */
const SAVE_INTERVAL = 1000;

export class PartFile {
  readonly #file: Deno.FsFile;
  readonly #state: State;
  #savedAt = 0;

  private constructor(readonly path: string, file: Deno.FsFile, state: State) {
    this.#file = file;
    this.#state = state;
  }

  /**
   * Opens what an earlier download of the same file left, or begins anew.
   *
   * @param path of the whole file in the end
   * @throws {HubError} when another process downloads it, or it cannot be written
   */
  static async open(path: string, { size, id }: FileIdentity, chunkBytes: number): Promise<PartFile> {
    const part = `${path}.part`;
    const file = await Deno.open(part, { create: true, read: true, write: true });
    try {
      if (!await file.tryLock(true)) throw new HubError(`${path} is being downloaded by another process`);
      const chunks = Math.max(1, Math.ceil(size / chunkBytes));
      const earlier = await readState(`${part}.json`);
      const goesOn = earlier?.size === size && earlier.id === id && (await file.stat()).size === size;
      const state = goesOn ? earlier : { size, id, chunkBytes, done: Array(chunks).fill(0) };
      if (!goesOn) await file.truncate(size);
      return new PartFile(path, file, state);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The chunks: where each begins and ends (excluded), in bytes. */
  get chunks(): readonly { readonly start: number; readonly end: number }[] {
    const { chunkBytes, size, done } = this.#state;
    return done.map((_, i) => ({ start: i * chunkBytes, end: Math.min((i + 1) * chunkBytes, size) }));
  }

  /** How many bytes of a chunk are there. */
  done(chunk: number): number {
    return this.#state.done[chunk];
  }

  /** How many bytes of the file are there. */
  get doneBytes(): number {
    return this.#state.done.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Adds bytes to a chunk, where it is. @throws {HubError} when the disk does not take them */
  append(chunk: number, bytes: Uint8Array): void {
    try {
      // Without yielding in between, for chunks that are written at the same time share the position.
      this.#file.seekSync(this.chunks[chunk].start + this.done(chunk), Deno.SeekMode.Start);
      for (let written = 0; written < bytes.length;) written += this.#file.writeSync(bytes.subarray(written));
    } catch (error) {
      throw new HubError(`${this.path}.part cannot be written: ${systemReason(error)}`);
    }
    this.#state.done[chunk] += bytes.length;
    if (performance.now() - this.#savedAt > SAVE_INTERVAL) this.save();
  }

  /** Notes how far the chunks are. */
  save(): void {
    Deno.writeTextFileSync(`${this.path}.part.json`, JSON.stringify(this.#state));
    this.#savedAt = performance.now();
  }

  /** Leaves the file for a later download to go on with. */
  close(): void {
    this.save();
    this.#file.close();
  }

  /** Throws away what is there. */
  async discard(): Promise<void> {
    this.#file.close();
    await Deno.remove(`${this.path}.part.json`).catch(() => {});
    await Deno.remove(`${this.path}.part`);
  }

  /** The file is whole: gives it its name. */
  async finish(): Promise<void> {
    await this.#file.sync();
    this.#file.close();
    await Deno.rename(`${this.path}.part`, this.path);
    await Deno.remove(`${this.path}.part.json`).catch(() => {});
  }
}

/** What was noted; nothing where the note is missing or damaged. */
async function readState(path: string): Promise<State | undefined> {
  try {
    const state: State = JSON.parse(await Deno.readTextFile(path));
    const isWhole = Number.isSafeInteger(state.size) && state.chunkBytes > 0 &&
      state.done.length === Math.max(1, Math.ceil(state.size / state.chunkBytes)) &&
      state.done.every((bytes) => Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= state.chunkBytes);
    return isWhole ? state : undefined;
  } catch {
    return undefined;
  }
}
