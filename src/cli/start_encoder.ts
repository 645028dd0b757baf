/** @file The encoder that a server is given, on the device that its model has. */
import { EncoderClient } from "../embedding/client.ts";
import type { Device } from "../serving/device.ts";

/**
 * Loads an encoder. One that WebGPU cannot run, whoever is at fault, runs on the CPU, unless the GPU was asked for by name.
 *
 * @param isChosen whether somebody asked for the device by name
 * @param start loads it on one device; tests put a stand-in here
 * @throws {ModelFileError} when it cannot be run
 */
export async function startEncoder(
  folder: string,
  { device, isChosen }: { readonly device: Device; readonly isChosen: boolean },
  log: (line: string) => void = console.error,
  start: typeof EncoderClient.start = EncoderClient.start,
): Promise<EncoderClient> {
  if (device === "cpu" || isChosen) return await start(folder, { device });
  try {
    return await start(folder, { device });
  } catch (error) {
    const encoder = await start(folder, { device: "cpu" });
    log(`The encoder runs on the CPU, for WebGPU could not: ${(error as Error).message}`);
    return encoder;
  }
}
