/** @file A compiled graph, and tensors as notes of where their elements lie in the module's memory. */
import { check, lastError, LOG_ERRORS, type OnnxModule } from "./onnx_module.ts";
import { ELEMENT_TYPES, type ElementType, type Graph } from "./onnx_model.ts";

const ELEMENT_BYTES: Record<ElementType, number> = { f32: 4, u8: 1, i8: 1, i32: 4 };
/** Where onnxruntime is told that tensors lie: in its own memory. */
const CPU = 1;

/** A tensor: a handle of onnxruntime's. */
export type Tensor = number;

/** Sizes go here on their way to onnxruntime; no tensor of ours has more dimensions. */
const MOST_DIMENSIONS = 8;
const shapes = new WeakMap<OnnxModule, number>();

/**
 * A tensor over memory that is there already. It must be released, and must not outlive the memory.
 *
 * @param address of its first element, in bytes
 */
export function tensor(
  module: OnnxModule,
  address: number,
  shape: readonly number[],
  type: ElementType = "f32",
): Tensor {
  let place = shapes.get(module);
  if (place === undefined) shapes.set(module, place = module._malloc(MOST_DIMENSIONS * 4));
  let bytes = ELEMENT_BYTES[type];
  shape.forEach((size, i) => {
    module.HEAP32[place / 4 + i] = size;
    bytes *= size;
  });
  const handle = module._OrtCreateTensor(ELEMENT_TYPES[type], address, bytes, place, shape.length, CPU);
  if (handle === 0) throw lastError(module, `make a tensor of shape [${shape.join(", ")}]`);
  return handle;
}

/** A compiled graph. */
export class Session {
  readonly #inputs: number;
  readonly #outputs: number;
  readonly #inputNames: number;
  readonly #outputNames: number;
  readonly #options: number;

  constructor(readonly module: OnnxModule, readonly handle: number, readonly graph: Graph) {
    const names = (tensors: Graph["inputs"]) => {
      const place = module._malloc(4 * tensors.length);
      tensors.forEach(({ name }, i) => module.HEAP32[place / 4 + i] = encodeText(module, name));
      return place;
    };
    this.#inputNames = names(graph.inputs);
    this.#outputNames = names(graph.outputs);
    this.#inputs = module._malloc(4 * graph.inputs.length);
    this.#outputs = module._malloc(4 * graph.outputs.length);
    this.#options = module._OrtCreateRunOptions(LOG_ERRORS, 0, false, 0);
  }

  /** Runs the graph; inputs and outputs are in its order. Returns when it is done. */
  run(inputs: readonly Tensor[], outputs: readonly Tensor[]): void {
    const { module } = this;
    module.HEAP32.set(inputs, this.#inputs / 4);
    module.HEAP32.set(outputs, this.#outputs / 4);
    const code = module._OrtRun(
      this.handle,
      this.#inputNames,
      this.#inputs,
      inputs.length,
      this.#outputNames,
      outputs.length,
      this.#outputs,
      this.#options,
    );
    check(module, code, "run a graph");
  }
}

function encodeText(module: OnnxModule, text: string): number {
  const bytes = new TextEncoder().encode(`${text}\0`);
  const place = module._malloc(bytes.length);
  module.HEAPU8.set(bytes, place);
  return place;
}
