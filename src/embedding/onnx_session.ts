/**
 * @file An ONNX model on onnxruntime: its kernels in WebGPU, or in WebAssembly on one thread, this one.
 *
 * The library wants to find its WebAssembly by URLs that start at `location`, which a worker's does not allow, and to fetch it,
 * which a file cannot be. So it is handed the bytes; they are read from beside the library, in a compiled program too.
 */
import { readWasm } from "../formats/wasm_file.ts";
import type { EncoderDevice } from "./protocol.ts";
import type { Env, InferenceSession, Tensor } from "onnxruntime-web";

/** Inputs as the encoders of optimum and sentence-transformers name them: [texts, tokens] each. */
export interface EncoderBatch {
  readonly texts: number;
  readonly tokens: number;
  readonly ids: BigInt64Array<ArrayBuffer>;
  readonly mask: BigInt64Array<ArrayBuffer>;
  /** 1 for tokens of a pair's second text. */
  readonly types: BigInt64Array<ArrayBuffer>;
}

/** A tensor that came out. */
export interface EncoderOutput {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const INPUTS = ["input_ids", "attention_mask", "token_type_ids"];

/** What an output is, by its name; the first that a model has counts. */
const OUTPUTS = { logits: "reranker", last_hidden_state: "embedder", token_embeddings: "embedder" } as const;

/** Sessions tell errors only; what is said otherwise is that parts of a model run in WebAssembly, which is as meant. */
const ERRORS = 3;

/** As the engine asks for its adapter. */
const POWER = "high-performance";

/**
 * onnxruntime's builds. Of those with WebGPU this is the smallest: WebAssembly that waits for the GPU is suspended by the engine of
 * JavaScript, where the others were rewritten to be able to return. What WebGPU has no kernel for, such as dynamic quantisation, runs
 * in WebAssembly there, too.
 */
const BUILDS = {
  cpu: {
    provider: "wasm",
    load: () => import("onnxruntime-web/wasm"),
    wasm: "onnxruntime-web/ort-wasm-simd-threaded.wasm",
    // deno-lint-ignore require-await
    name: async () => "the CPU (onnxruntime, 1 thread)",
  },
  gpu: {
    provider: "webgpu",
    load: () => import("onnxruntime-web/jspi"),
    wasm: "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm",
    // As onnxruntime tells which device it has taken; without its kernels there is none.
    async name({ webgpu }: Env) {
      const { adapterInfo: { description, device } } = await webgpu.device as GPUDevice;
      return description || device || "unknown adapter";
    },
  },
} as const;

export class OnnxSession {
  private constructor(
    readonly kind: "embedder" | "reranker",
    /** The last dimension of what comes out: numbers of a vector, or labels. */
    readonly dimensions: number,
    /** A text's numbers depend on those that are run with it: the activations of all are scaled together. */
    readonly scalesTogether: boolean,
    /** What computes, in words. */
    readonly computesOn: string,
    readonly run: (batch: EncoderBatch) => Promise<EncoderOutput>,
  ) {}

  /** @throws {Error} when onnxruntime cannot load the model, or it is no encoder; the message names the input or output */
  static async open(path: string, device: EncoderDevice): Promise<OnnxSession> {
    const { provider, load, wasm, name: nameDevice } = BUILDS[device];
    Reflect.deleteProperty(globalThis, "location");
    const { env, InferenceSession, Tensor } = await load();
    env.logLevel = "error";
    env.wasm.numThreads = 1;
    env.wasm.wasmBinary = (await readWasm(import.meta.resolve(wasm))).buffer;
    env.webgpu.powerPreference = POWER;
    const bytes = await Deno.readFile(path);
    const session = await InferenceSession.create(bytes, {
      executionProviders: [provider],
      logSeverityLevel: ERRORS,
    });
    const unknown = session.inputNames.find((name) => !INPUTS.includes(name));
    if (unknown !== undefined) throw new Error(`it has an input ${unknown}: expected ${INPUTS.join(", ")}`);
    const name = Object.keys(OUTPUTS).find((output) => session.outputNames.includes(output)) as keyof typeof OUTPUTS;
    if (name === undefined) {
      throw new Error(
        `its outputs are ${session.outputNames.join(", ")}: expected ${Object.keys(OUTPUTS).join(" or ")}`,
      );
    }
    const dimensions = lastDimension(session, name);
    const run = async ({ texts, tokens, ids, mask, types }: EncoderBatch): Promise<EncoderOutput> => {
      const tensor = (data: BigInt64Array<ArrayBuffer>) => new Tensor("int64", data, [texts, tokens]);
      const all: Record<string, Tensor> = {
        input_ids: tensor(ids),
        attention_mask: tensor(mask),
        token_type_ids: tensor(types),
      };
      const feeds = Object.fromEntries(session.inputNames.map((input) => [input, all[input]]));
      const { [name]: output } = await session.run(feeds, [name]);
      return { shape: output.dims, values: output.data as Float32Array };
    };
    // An operator's name stands in the file as it is.
    const scalesTogether = holds(bytes, "DynamicQuantizeLinear");
    return new OnnxSession(OUTPUTS[name], dimensions, scalesTogether, await nameDevice(env), run);
  }
}

function lastDimension(session: InferenceSession, name: string): number {
  const output = session.outputMetadata.find((metadata) => metadata.name === name);
  const size = output?.isTensor ? output.shape.at(-1) : undefined;
  if (output?.isTensor && output.type === "float32" && typeof size === "number") return size;
  throw new Error(`its output ${name} has no known size, or is not of float32`);
}

function holds(bytes: Uint8Array, text: string): boolean {
  const sought = new TextEncoder().encode(text);
  for (let at = bytes.indexOf(sought[0]); at >= 0; at = bytes.indexOf(sought[0], at + 1)) {
    if (sought.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}
