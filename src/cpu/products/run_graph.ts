/** @file Runs a graph on tensors that are made for one run. */
import type { Onnxruntime } from "../runtime/onnxruntime.ts";
import { type Session, type Tensor, tensor } from "../runtime/session.ts";

/** A tensor that is made for one run: address in bytes, and shape. */
export type Place = readonly [address: number, shape: readonly number[]];

/** Runs a graph; inputs and outputs are in its order. */
export function runGraph(
  runtime: Onnxruntime,
  session: Session,
  inputs: readonly (Tensor | Place)[],
  outputs: readonly Place[],
): void {
  const { module } = runtime;
  const made: Tensor[] = [];
  const make = ([address, shape]: Place) => {
    const one = tensor(module, address, shape);
    made.push(one);
    return one;
  };
  session.run(inputs.map((input) => typeof input === "number" ? input : make(input)), outputs.map(make));
  runtime.runs++;
  for (const one of made) module._OrtReleaseTensor(one);
}
