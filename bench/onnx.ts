/**
 * @file The peer of the kernel measurements: onnxruntime-web's WebGPU kernels, run from graphs that are built in memory.
 *
 * Inputs and outputs are bound to GPU buffers that are made once, so that a run moves nothing between CPU and GPU.
 */
import onnxProto from "onnx-proto";
import * as ort from "onnxruntime-web/webgpu";

const { onnx } = onnxProto;

export type OnnxType = "float32" | "float16" | "uint8" | "int32";

const TYPE_CODES: Record<OnnxType, number> = { float32: 1, uint8: 2, int32: 6, float16: 10 };
const ATTRIBUTE_INT = 2;
/** The domain of MatMulNBits and GroupQueryAttention. */
export const MICROSOFT = "com.microsoft";

/** A tensor that the graph names. */
export interface OnnxTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly dims: readonly number[];
}

/** A tensor with its elements. */
export interface OnnxData extends OnnxTensor {
  readonly data: ArrayBufferView<ArrayBuffer>;
}

export interface OnnxNode {
  readonly operator: string;
  readonly domain?: string;
  /** Names of tensors; an optional input that is absent is an empty name. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly integers?: Readonly<Record<string, number>>;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxData[];
  readonly inputs: readonly OnnxData[];
  /** An output may be written where an input or an earlier output lies: then `at` names it. */
  readonly outputs: readonly (OnnxTensor & { readonly at?: string })[];
}

/** The bytes of an ONNX model; see https://github.com/onnx/onnx/blob/main/docs/IR.md. */
function encodeModel({ nodes, constants, inputs, outputs }: OnnxGraph): Uint8Array {
  const described = ({ name, type, dims }: OnnxTensor) => ({
    name,
    type: { tensorType: { elemType: TYPE_CODES[type], shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  });
  const model = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 17 }, { domain: MICROSOFT, version: 1 }],
    graph: {
      name: "benchmark",
      node: nodes.map(({ operator, domain = "", inputs, outputs, integers = {} }, index) => ({
        name: `${operator} ${index}`,
        opType: operator,
        domain,
        input: [...inputs],
        output: [...outputs],
        attribute: Object.entries(integers).map(([name, i]) => ({ name, type: ATTRIBUTE_INT, i })),
      })),
      initializer: constants.map(({ name, type, dims, data }) => ({
        name,
        dataType: TYPE_CODES[type],
        dims: [...dims],
        rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      })),
      input: inputs.map(described),
      output: outputs.map(described),
    },
  });
  return onnx.ModelProto.encode(model).finish();
}

/** A graph ready to run on the GPU. */
export class OnnxSession {
  private constructor(
    readonly device: GPUDevice,
    readonly session: ort.InferenceSession,
    readonly feeds: Record<string, ort.Tensor>,
    readonly fetches: Record<string, ort.Tensor>,
    readonly buffers: Map<string, GPUBuffer>,
  ) {}

  /** Compiles a graph for the WebGPU execution provider, which opens a device of its own on the default adapter. */
  static async create(graph: OnnxGraph): Promise<OnnxSession> {
    ort.env.wasm.wasmPaths = new URL(".", import.meta.resolve("onnxruntime-web/webgpu")).href;
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(encodeModel(graph), {
      executionProviders: ["webgpu"],
      logSeverityLevel: 3,
    });
    const device = await ort.env.webgpu.device as unknown as GPUDevice;
    const buffers = new Map<string, GPUBuffer>();
    const bind = ({ name, type, dims }: OnnxTensor, at = name): ort.Tensor => {
      const bytes = dims.reduce((a, b) => a * b, 1) * (type === "float16" ? 2 : type === "uint8" ? 1 : 4);
      const buffer = buffers.get(at) ?? device.createBuffer({
        label: name,
        size: Math.max(16, Math.ceil(bytes / 16) * 16),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      buffers.set(at, buffer);
      return ort.Tensor.fromGpuBuffer(buffer as any, { dataType: type as "float32", dims });
    };
    const feeds: Record<string, ort.Tensor> = {};
    for (const input of graph.inputs) {
      feeds[input.name] = bind(input);
      const { data } = input;
      device.queue.writeBuffer(buffers.get(input.name)!, 0, data.buffer, data.byteOffset, data.byteLength);
    }
    const fetches = Object.fromEntries(graph.outputs.map((output) => [output.name, bind(output, output.at)]));
    return new OnnxSession(device, session, feeds, fetches, buffers);
  }

  /** Hands one run of the graph to the GPU; resolves when it is recorded, not when it is done. */
  async run(): Promise<void> {
    await this.session.run(this.feeds, this.fetches);
  }

  /** The elements of an output. */
  async read(name: string): Promise<Float32Array> {
    const tensor = this.fetches[name];
    const source = this.buffers.get(name)!;
    const staging = this.device.createBuffer({
      size: source.size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, source.size);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const bytes = staging.getMappedRange().slice(0);
    staging.destroy();
    const values = tensor.type === "float16" ? Float32Array.from(new Float16Array(bytes)) : new Float32Array(bytes);
    return values.subarray(0, tensor.size);
  }

  async close(): Promise<void> {
    await this.session.release();
    for (const buffer of this.buffers.values()) buffer.destroy();
  }
}
