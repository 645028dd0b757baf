/**
 * @file WebAssembly that lies beside a library. In the one executable file it is packed, since Deno embeds files as they are: a
 * `.gz` lies beside an empty file then, see tools/release/embedded_packages.ts.
 */

/**
 * The bytes of a WebAssembly module.
 *
 * @param url a file's, as `import.meta.resolve` gives it
 */
export async function readWasm(url: string | URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    using packed = await Deno.open(new URL(`${url}.gz`));
    return await new Response(packed.readable.pipeThrough(new DecompressionStream("gzip"))).bytes();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return await Deno.readFile(new URL(url));
  }
}
