/** @file A file that is read in pieces, at any offset. */

import { ModelFileError } from "./model_file.ts";
import { systemReason } from "./system_reason.ts";

export class RandomAccessFile {
  readonly path: string;
  /** In bytes, when the file was opened. */
  readonly size: number;
  readonly #file: Deno.FsFile;

  private constructor(path: string, size: number, file: Deno.FsFile) {
    this.path = path;
    this.size = size;
    this.#file = file;
  }

  /** @throws {ModelFileError} when there is no such file, or it is not a regular file, or it cannot be read */
  static async open(path: string): Promise<RandomAccessFile> {
    try {
      // Asked before opening: opening a named pipe would wait for a writer.
      const { isFile, size } = await Deno.stat(path);
      if (!isFile) throw new ModelFileError(`${path} is not a regular file`);
      return new RandomAccessFile(path, size, await Deno.open(path));
    } catch (error) {
      if (error instanceof ModelFileError) throw error;
      if (error instanceof Deno.errors.NotFound) throw new ModelFileError(`${path} does not exist`);
      throw new ModelFileError(`${path} cannot be opened: ${systemReason(error)}`);
    }
  }

  /**
   * Reads bytes `[offset, offset + length)`.
   *
   * Seeks and reads without yielding, so that concurrent callers cannot move each other's position.
   *
   * @throws {ModelFileError} when the file ends before `offset + length`, or reading fails
   */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const end = offset + length;
    if (end > this.size) {
      throw new ModelFileError(`${this.path} ends at byte ${this.size}: expected data up to byte ${end}`);
    }
    const bytes = new Uint8Array(length);
    let filled = 0;
    try {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
      while (filled < length) {
        const count = this.#file.readSync(bytes.subarray(filled));
        if (count === null) break;
        filled += count;
      }
    } catch (error) {
      throw new ModelFileError(`${this.path} cannot be read at byte ${offset + filled}: ${systemReason(error)}`);
    }
    if (filled < length) {
      throw new ModelFileError(
        `${this.path} now ends at byte ${offset + filled}: it had ${this.size} bytes when it was opened`,
      );
    }
    return bytes;
  }

  close(): void {
    this.#file.close();
  }
}
