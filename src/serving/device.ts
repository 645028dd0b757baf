/** @file Which device computes: a GPU that WebGPU reaches, or the CPU. */
import { ensureAdapter, type System, thisSystem } from "./environment.ts";

/** What computes. */
export type Device = "gpu" | "cpu";

/** What a user can ask for. */
export const DEVICE_CHOICES = ["auto", "gpu", "cpu"] as const;
export type DeviceChoice = typeof DEVICE_CHOICES[number];

/**
 * The device to compute on. `auto` is a GPU if WebGPU reaches a real one, otherwise the CPU; `gpu` takes what WebGPU gives, a
 * software adapter too, for which Mesa's is installed where there is none.
 *
 * @param log receives a line for people about each step that takes long
 * @throws {NoAdapterError} where a GPU was asked for and there is none
 */
export async function chooseDevice(
  choice: DeviceChoice,
  log: (line: string) => void,
  system: System = thisSystem(),
): Promise<Device> {
  if (choice === "cpu") return "cpu";
  if (choice === "auto") {
    const found = await system.findAdapter();
    return found === null || found.software ? "cpu" : "gpu";
  }
  await ensureAdapter(log, system);
  return "gpu";
}
