import assert from "node:assert/strict";
import { startEncoder } from "../../src/cli/start_encoder.ts";
import type { EncoderClient } from "../../src/embedding/client.ts";

/** Starts an encoder that fails on some devices; which were tried, and what was said. */
async function tried(
  asked: Parameters<typeof startEncoder>[1],
  failing: readonly string[],
): Promise<{ devices: string[]; said: string[]; error?: string }> {
  const [devices, said]: string[][] = [[], []];
  const start = (_folder: string, { device }: { device: string }) => {
    devices.push(device);
    return failing.includes(device)
      ? Promise.reject(new Error(`nothing runs on ${device}`))
      : Promise.resolve({} as EncoderClient);
  };
  try {
    await startEncoder("folder", asked, (line) => said.push(line), start);
    return { devices, said };
  } catch (error) {
    return { devices, said, error: (error as Error).message };
  }
}

Deno.test("an encoder runs where the model does", async () => {
  for (const device of ["gpu", "cpu"] as const) {
    assert.deepEqual(await tried({ device, isChosen: false }, []), { devices: [device], said: [] });
  }
});

Deno.test("an encoder that WebGPU cannot run runs on the CPU, and that is said, unless the GPU was asked for", async () => {
  assert.deepEqual(await tried({ device: "gpu", isChosen: false }, ["gpu"]), {
    devices: ["gpu", "cpu"],
    said: ["The encoder runs on the CPU, for WebGPU could not: nothing runs on gpu"],
  });
  const asked = await tried({ device: "gpu", isChosen: true }, ["gpu"]);
  assert.deepEqual(asked, { devices: ["gpu"], said: [], error: "nothing runs on gpu" });
});

Deno.test("an encoder that runs nowhere fails as it does on the CPU", async () => {
  const { error, said } = await tried({ device: "gpu", isChosen: false }, ["gpu", "cpu"]);
  assert.deepEqual([error, said], ["nothing runs on cpu", []]);
});
