/** @file Sizes that flags ask for, looked at before anything large is read. */
import type { ModelConfig } from "../architecture/config.ts";
import { blocksFor } from "../cache/block.ts";
import { SizeError } from "../contract/errors.ts";
import { dimensionsOf, MAX_STEPS } from "../model/dimensions.ts";
import type { Device } from "./device.ts";

/** What is asked for. */
export interface WantedSizes {
  readonly context?: number;
  readonly kvMemory?: number;
  readonly kvType?: "f16" | "f32";
  readonly maxBatch: number;
}

/** A prompt of a token and an answer of one. */
const SHORTEST_REQUEST = 2;

/**
 * What is left to the engines is what only they know: the limits of an adapter, and how WebAssembly's memory is shared out.
 *
 * @throws {SizeError} where the memory for the KV cache holds not even the shortest request
 */
export function checkSizes(
  config: ModelConfig,
  { context, kvMemory, kvType, maxBatch }: WantedSizes,
  device: Device,
): void {
  if (kvMemory === undefined) return;
  const { blockBytes } = dimensionsOf(config, {
    contextLength: context ?? config.contextLength,
    maxBatch,
    kvElement: kvType ?? (device === "gpu" ? "f16" : "f32"),
    kvMemory,
  });
  const least = config.layerCount * blocksFor(SHORTEST_REQUEST + MAX_STEPS) * blockBytes;
  if (kvMemory >= least) return;
  throw new SizeError(
    `--kv-memory is ${kvMemory} bytes: expected at least ${least} (${
      Math.ceil(least / 1024)
    }KiB), which the shortest request needs`,
  );
}
