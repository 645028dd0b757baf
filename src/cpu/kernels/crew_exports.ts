/** @file The compiled module of a crew, as its threads use it: without the library that made it. */

/** What the module exports; `control` is the address of a control record. */
export interface CrewExports {
  /** Does the job that the record holds, in so many pieces. */
  run(control: number, pieces: number): void;
  serve(control: number): void;
  /** Gives the thread memory of its own, see tile_attention.ts. */
  own(address: number): void;
}

/** Instantiates the module on a memory. */
export async function instantiateCrewModule(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<CrewExports> {
  const instance = await WebAssembly.instantiate(module, { memory: { memory } });
  return instance.exports as unknown as CrewExports;
}
