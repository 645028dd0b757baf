/** @file Temporary files for tests, and the bytes to put in them. */

/** Runs the action on a directory with these files, and removes it afterwards. */
export async function withDirectory<T>(
  files: Readonly<Record<string, Uint8Array | string>>,
  action: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "ebb-test-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeFile(`${directory}/${name}`, typeof content === "string" ? utf8(content) : content);
    }
    return await action(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs the action on a file with this content, and removes it afterwards. */
export function withFile<T>(
  content: Uint8Array | string,
  action: (path: string) => Promise<T>,
  name = "model.gguf",
): Promise<T> {
  return withDirectory({ [name]: content }, (directory) => action(`${directory}/${name}`));
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

export function concatenate(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/** Little-endian. */
export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Little-endian. */
export function uint64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
