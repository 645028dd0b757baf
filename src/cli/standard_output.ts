/** @file Text on standard output, piece by piece. */

const encoder = new TextEncoder();

/** Writes a piece of text, all of it, at once. */
export function printText(piece: string): void {
  // writeSync may write a part only, when standard output is a pipe.
  for (let bytes = encoder.encode(piece); bytes.length > 0;) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}
