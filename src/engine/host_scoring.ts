/**
 * @file The host's part in the scores of a layer, for policies that have one: what their steps ask for is read back, computed on, and
 * goes back, before the layer is scored.
 *
 *     layer read | requestHostScoring() | submit ... mapped | HostScoring.compute() | layer scored with its `numbers`
 *
 * Meanwhile the prompt stands still and others go on.
 */
import type { HostRead } from "../compression/host_inputs.ts";
import type { SegmentScoring } from "../compression/scoring_work.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Model } from "../model/model.ts";
import type { Step } from "../policy/steps.ts";
import type { Sequence } from "./sequence.ts";

/** One layer of one sequence. */
export class HostScoring {
  /** What has been computed, by step; `null` until then. */
  numbers: ReadonlyMap<Step, GPUBuffer> | null = null;

  constructor(
    readonly model: Model,
    readonly sequence: Sequence,
    readonly layer: number,
    readonly read: HostRead,
  ) {}

  /** Takes the inputs, which must have been mapped, and computes on them. */
  compute(): void {
    const inputs = this.read.take();
    const { sequence, layer, model: { compressor, config: { queryHeadCount } } } = this;
    const numbers = new Map<Step, GPUBuffer>();
    this.numbers = numbers;
    if (sequence.isFinished) return;
    const { policy, context, scoredRows, residence: { slot } } = sequence;
    const layerContext = { ...context, layer, queryHeadCount, scoredRows, rotary: compressor.options.rotary! };
    for (const [index, hostStep] of policy!.hostSteps.entries()) {
      const computed = policy!.computeOnHost(hostStep, inputs, layerContext);
      if (computed !== null) {
        numbers.set(hostStep.step, compressor.hostNumbers(`slot ${slot}, step ${index}`, computed));
      }
    }
  }
}

/** Records the way to the host of what a sequence's policy computes on there; `null` if that is nothing. */
export function requestHostScoring(
  model: Model,
  recorder: Recorder,
  sequence: Sequence,
  layer: number,
  segment: SegmentScoring,
): HostScoring | null {
  const { policy } = sequence;
  // Once a policy has failed there, its score asks for nothing of the kind.
  if (policy === null || policy.hostSteps.length === 0 || policy.hasFailed) return null;
  const read = model.compressor.readForHost(recorder, segment, policy.score, policy.hostSteps);
  return new HostScoring(model, sequence, layer, read);
}
