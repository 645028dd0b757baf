/**
 * @file The peer of the kernel measurements: onnxruntime-web's WebGPU kernels, run from graphs that are built in memory.
 *
 * Inputs and outputs are bound to GPU buffers that are made once, so that a run moves nothing between CPU and GPU.
 */

/**
 * What is used of two packages that are neither in deno.json nor in deno.lock: Deno downloads all that stands there for
 * any command, and these unpack to 150 MB. So they are imported by name at run time, and pinned in bench/deno.lock.
 */
const ONNXRUNTIME = "npm:onnxruntime-web@1.30.0/webgpu";
const ONNX_PROTO = "npm:onnx-proto@8.0.1";

interface OnnxRuntime {
  readonly env: {
    readonly wasm: { wasmPaths?: string; numThreads?: number };
    readonly webgpu: { readonly device: Promise<GPUDevice> };
  };
  readonly InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<RuntimeSession>;
  };
  readonly Tensor: {
    fromGpuBuffer(buffer: GPUBuffer, options: { dataType: OnnxType; dims: readonly number[] }): RuntimeTensor;
  };
}

interface RuntimeSession {
  run(feeds: Record<string, RuntimeTensor>, fetches: Record<string, RuntimeTensor>): Promise<unknown>;
  release(): Promise<void>;
}

interface RuntimeTensor {
  readonly type: OnnxType;
  /** Elements. */
  readonly size: number;
}

interface OnnxProto {
  readonly default: {
    readonly onnx: { readonly ModelProto: { encode(model: object): { finish(): Uint8Array } } };
  };
}

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

/** One of the peer's ways to compute a case. */
export interface PeerGraph {
  /** Its operators and their precision, in words. */
  readonly kernel: string;
  /** The graph of a chain of `length` operations, whose output is `y`. */
  graph(length: number): OnnxGraph;
}

/** The bytes of an ONNX model; see https://github.com/onnx/onnx/blob/main/docs/IR.md. */
async function encodeModel({ nodes, constants, inputs, outputs }: OnnxGraph): Promise<Uint8Array> {
  const { default: { onnx } }: OnnxProto = await import(ONNX_PROTO);
  const described = ({ name, type, dims }: OnnxTensor) => ({
    name,
    type: { tensorType: { elemType: TYPE_CODES[type], shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  });
  const model = {
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
  };
  return onnx.ModelProto.encode(model).finish();
}

/** A graph ready to run on the GPU. */
export class OnnxSession {
  private constructor(
    readonly device: GPUDevice,
    readonly session: RuntimeSession,
    readonly feeds: Record<string, RuntimeTensor>,
    readonly fetches: Record<string, RuntimeTensor>,
    readonly buffers: Map<string, GPUBuffer>,
  ) {}

  /** Compiles a graph for the WebGPU execution provider, which opens a device of its own on the default adapter. */
  static async create(graph: OnnxGraph): Promise<OnnxSession> {
    const ort: OnnxRuntime = await import(ONNXRUNTIME);
    ort.env.wasm.wasmPaths = new URL(".", import.meta.resolve(ONNXRUNTIME)).href;
    ort.env.wasm.numThreads = 1;
    // The library takes Deno for Node and puts Node's Worker in the place of the global one.
    const { Worker } = globalThis;
    const session = await ort.InferenceSession.create(await encodeModel(graph), {
      executionProviders: ["webgpu"],
      logSeverityLevel: 3,
    });
    globalThis.Worker = Worker;
    const device = await ort.env.webgpu.device;
    const buffers = new Map<string, GPUBuffer>();
    const bind = ({ name, type, dims }: OnnxTensor, at = name): RuntimeTensor => {
      const bytes = dims.reduce((a, b) => a * b, 1) * (type === "float16" ? 2 : type === "uint8" ? 1 : 4);
      const buffer = buffers.get(at) ?? device.createBuffer({
        label: name,
        size: Math.max(16, Math.ceil(bytes / 16) * 16),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      buffers.set(at, buffer);
      return ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims });
    };
    const feeds: Record<string, RuntimeTensor> = {};
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
