/**
 * @file Rotary position embedding (RoPE, https://arxiv.org/abs/2104.09864) as a table of cosines and sines.
 *
 * Pair i of a head's elements is rotated by `position * frequency[i]`, where the frequencies fall geometrically:
 * `base^(-2i / dimensions)`. The scaling types stretch the rotation so that a longer context fits into the angles that
 * were seen in training; all of them do it by changing the frequencies, and YaRN also lengthens the rotated vectors.
 */

import type { RopeConfig } from "./config.ts";

/**
 * The rotation of every pair at every position.
 *
 * @param contextLength how many positions; dynamic scaling also takes it for the context that is served
 * @returns `[contextLength, dimensions / 2, 2]`: cosine and sine, both multiplied by YaRN's attention factor
 */
export function ropeTable(rope: RopeConfig, contextLength: number): Float32Array<ArrayBuffer> {
  const frequencies = ropeFrequencies(rope, contextLength);
  const length = rope.scaling.type === "yarn" ? rope.scaling.attentionFactor : 1;
  const table = new Float32Array(contextLength * frequencies.length * 2);
  let at = 0;
  for (let position = 0; position < contextLength; position++) {
    for (const frequency of frequencies) {
      table[at++] = length * Math.cos(position * frequency);
      table[at++] = length * Math.sin(position * frequency);
    }
  }
  return table;
}

/**
 * The angle by which each pair turns from one position to the next, in radians.
 *
 * @returns `[dimensions / 2]`
 */
export function ropeFrequencies(rope: RopeConfig, contextLength: number): Float64Array {
  const { base, dimensions, scaling } = rope;
  const unscaled = geometricFrequencies(base, dimensions);
  switch (scaling.type) {
    case "none":
      return unscaled;
    case "linear":
      return unscaled.map((frequency) => frequency / scaling.factor);
    case "factors":
      return unscaled.map((frequency, i) => frequency / scaling.factors[i]);
    case "dynamic":
      return geometricFrequencies(dynamicBase(base, dimensions, scaling, contextLength), dimensions);
    case "llama3":
      return unscaled.map((frequency) => llama3Frequency(frequency, scaling));
    case "yarn": {
      const [low, high] = yarnRamp(base, dimensions, scaling);
      return unscaled.map((frequency, i) => {
        // 0 where a pair turns often enough in the original context to be left alone, 1 where it is interpolated.
        const interpolated = Math.min(Math.max((i - low) / Math.max(high - low, 0.001), 0), 1);
        return frequency * (1 - interpolated + interpolated / scaling.factor);
      });
    }
  }
}

function geometricFrequencies(base: number, dimensions: number): Float64Array {
  return Float64Array.from({ length: dimensions / 2 }, (_, i) => base ** (-2 * i / dimensions));
}

type ScalingOf<Type extends RopeConfig["scaling"]["type"]> = Extract<RopeConfig["scaling"], { type: Type }>;

/**
 * NTK-aware scaling (Hugging Face's `dynamic`). There the base grows with every token beyond the original context, which
 * leaves keys in the cache rotated by an older base; like vLLM, Ebb computes it once, from the context that is served.
 */
function dynamicBase(base: number, dimensions: number, scaling: ScalingOf<"dynamic">, contextLength: number): number {
  const stretch = Math.max(contextLength / scaling.originalContext, 1);
  return base * (scaling.factor * stretch - (scaling.factor - 1)) ** (dimensions / (dimensions - 2));
}

/** Llama 3.1's rule: long wavelengths are divided, short ones kept, those between are blended. */
function llama3Frequency(frequency: number, scaling: ScalingOf<"llama3">): number {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
  const turns = originalContext * frequency / (2 * Math.PI);
  const kept = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  const share = Math.min(Math.max(kept, 0), 1);
  return frequency * (share + (1 - share) / factor);
}

/** The pairs between which YaRN's ramp rises: those that turn betaFast and betaSlow times in the original context. */
function yarnRamp(base: number, dimensions: number, scaling: ScalingOf<"yarn">): [low: number, high: number] {
  const pairTurning = (turns: number) =>
    dimensions * Math.log(scaling.originalContext / (turns * 2 * Math.PI)) / (2 * Math.log(base));
  return [
    Math.max(Math.floor(pairTurning(scaling.betaFast)), 0),
    Math.min(Math.ceil(pairTurning(scaling.betaSlow)), dimensions - 1),
  ];
}
