/** @file The engine's worker, which loses its device or dies as soon as it is told to. */
import { Gpu } from "../../src/gpu/gpu.ts";
import "../../src/engine/worker.ts";

const open = Gpu.open;
Gpu.open = async () => {
  const gpu = await open();
  addEventListener("message", ({ data }: MessageEvent) => {
    if (data === "lose the device") gpu.device.destroy();
    if (data === "die") throw new Error("The thread died on purpose");
  });
  return gpu;
};
