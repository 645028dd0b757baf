/** @file Replies with lists of a million entries, written piece by piece: as one piece, they would hold up everybody else. */
import type { Context } from "hono";
import { Turns } from "./generation/turns.ts";

/** Entries that are written at a time. */
const PIECE_ENTRIES = 8192;

/** A list that is written entry by entry. */
export class LongList<Entry> {
  /** @param toJson what is written of an entry; the entry itself by default */
  constructor(readonly entries: ArrayLike<Entry>, readonly toJson: (entry: Entry) => unknown = (entry) => entry) {}
}

/** A reply of JSON whose members may be long lists. */
export function longJson(c: Context, members: Readonly<Record<string, unknown>>): Response {
  const pieces = piecesOf(members);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await pieces.return();
    },
  });
  return c.body(body, 200, { "content-type": "application/json" });
}

async function* piecesOf(members: Readonly<Record<string, unknown>>): AsyncGenerator<string, void> {
  const turns = new Turns();
  let separator = "{";
  for (const [name, value] of Object.entries(members)) {
    if (value === undefined) continue;
    const head = `${separator}${JSON.stringify(name)}:`;
    separator = ",";
    if (!(value instanceof LongList)) {
      yield head + JSON.stringify(value);
      continue;
    }
    const { entries, toJson } = value;
    yield `${head}[`;
    for (let at = 0; at < entries.length; at += PIECE_ENTRIES) {
      const count = Math.min(PIECE_ENTRIES, entries.length - at);
      const piece = JSON.stringify(Array.from({ length: count }, (_, i) => toJson(entries[at + i])));
      yield (at === 0 ? "" : ",") + piece.slice(1, -1);
      await turns.next();
    }
    yield "]";
  }
  yield separator === "{" ? "{}" : "}";
}
