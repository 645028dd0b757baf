/** @file Reads little-endian values one after the other from the start of a file, through a window of it in memory. */

import { decodeLossless } from "./lossless_utf8.ts";
import { ModelFileError } from "./model_file.ts";
import type { RandomAccessFile } from "./random_access_file.ts";

const WINDOW_BYTES = 2 ** 20;

/** A byte order mark at the start of a token is part of the token. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Every method returns the value at the cursor and moves past it.
 *
 * All throw {@linkcode ModelFileError} where the file, or the `limit` in bytes set on its header, ends too early.
 */
export class HeaderCursor {
  readonly file: RandomAccessFile;
  /** What is being read, for error messages; the caller sets it as it goes. */
  field = "header";
  readonly #limit: number;
  #window = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  /** Where the window starts in the file. */
  #windowStart = 0;
  /** Where the cursor stands in the window. */
  #position = 0;
  /** Where in the window the bytes taken last start. */
  #taken = 0;

  constructor(file: RandomAccessFile, limit: number) {
    this.file = file;
    this.#limit = limit;
  }

  /** Where the cursor stands, in bytes from the start of the file. */
  get offset(): number {
    return this.#windowStart + this.#position;
  }

  /** An error about the current field. */
  error(problem: string): ModelFileError {
    return new ModelFileError(`${this.file.path}: ${this.field} ${problem}`);
  }

  uint8(): number {
    return this.#take(1).getUint8(this.#taken);
  }

  int8(): number {
    return this.#take(1).getInt8(this.#taken);
  }

  uint16(): number {
    return this.#take(2).getUint16(this.#taken, true);
  }

  int16(): number {
    return this.#take(2).getInt16(this.#taken, true);
  }

  uint32(): number {
    return this.#take(4).getUint32(this.#taken, true);
  }

  int32(): number {
    return this.#take(4).getInt32(this.#taken, true);
  }

  float32(): number {
    return this.#take(4).getFloat32(this.#taken, true);
  }

  float64(): number {
    return this.#take(8).getFloat64(this.#taken, true);
  }

  /** A bigint only where the value is not a safe integer. */
  uint64(): number | bigint {
    return narrow(this.#take(8).getBigUint64(this.#taken, true));
  }

  /** A bigint only where the value is not a safe integer. */
  int64(): number | bigint {
    return narrow(this.#take(8).getBigInt64(this.#taken, true));
  }

  /** A uint64 that counts things of at least `itemBytes` bytes each, all of which must fit in what is left. */
  size(itemBytes: number): number {
    const count = this.uint64();
    const most = Math.floor((Math.min(this.file.size, this.#limit) - this.offset) / itemBytes);
    if (count > most) {
      throw this.error(
        `claims ${count} items: expected at most ${most}, which is all that ${this.#boundary()} can hold`,
      );
    }
    return Number(count);
  }

  /** A string: its length in bytes as a uint64, and UTF-8 (invalid sequences become U+FFFD). */
  string(): string {
    const length = this.size(1);
    this.#take(length);
    return UTF8.decode(this.#window.subarray(this.#taken, this.#position));
  }

  /** A string whose bytes may be anything; see lossless_utf8.ts for those that are not UTF-8. */
  losslessString(): string {
    const length = this.size(1);
    this.#take(length);
    return decodeLossless(this.#window.subarray(this.#taken, this.#position));
  }

  /** A copy of the next `length` bytes, in a buffer of its own. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    this.#take(length);
    return this.#window.slice(this.#taken, this.#position);
  }

  /** Moves past `length` bytes; returns the view that holds them, from `#taken` on. */
  #take(length: number): DataView {
    if (this.#position + length > this.#window.length) this.#moveWindow(length);
    this.#taken = this.#position;
    this.#position += length;
    return this.#view;
  }

  /** Starts the window at the cursor and makes it at least `length` bytes long. */
  #moveWindow(length: number): void {
    const left = Math.min(this.file.size, this.#limit) - this.offset;
    if (length > left) {
      throw this.error(`goes on for ${length} bytes at byte ${this.offset}: expected ${this.#boundary()} to hold it`);
    }
    this.#windowStart = this.offset;
    this.#position = 0;
    this.#window = this.file.read(this.#windowStart, Math.max(length, Math.min(left, WINDOW_BYTES)));
    this.#view = new DataView(this.#window.buffer);
  }

  #boundary(): string {
    return this.file.size <= this.#limit
      ? `the rest of the file (${this.file.size} bytes in all, perhaps incomplete)`
      : `a header of ${this.#limit} bytes`;
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
