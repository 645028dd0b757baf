/**
 * @file onnxruntime's WebAssembly, driven by its C functions instead of its JavaScript API.
 *
 * The JavaScript API copies every input into the module's memory before a run and every output out of it afterwards. Here
 * weights, activations and the KV cache lie in that memory to begin with, and a tensor is a note of where: nothing is copied.
 * The functions are those of onnxruntime/wasm/api.h, which the JavaScript API itself calls; what we use of them is declared
 * below, and deno.json pins the version.
 *
 * The module is 14 MB and is loaded only where it is asked for.
 */
import { readWasm } from "../../formats/wasm_file.ts";
import { encodeModel, type Graph } from "./onnx_model.ts";
import { check, lastError, LOG_ERRORS, type OnnxModule } from "./onnx_module.ts";
import { Session } from "./session.ts";

/** The most memory that a WebAssembly module addresses, in bytes. */
export const MEMORY_LIMIT = 2 ** 32;

type ModuleFactory = (
  options: { readonly numThreads: number; readonly wasmBinary: Uint8Array<ArrayBuffer> },
) => Promise<OnnxModule>;

/** Tells onnxruntime to optimise graphs as far as it can. */
const ALL_OPTIMISATIONS = 99;

/** The memory of the module is full. */
export class HeapFullError extends RangeError {
  override name = "HeapFullError";
}

/** Floats in the module's memory. */
export interface HeapFloats {
  /** In bytes, from the start of the memory. */
  readonly address: number;
  readonly values: Float32Array<ArrayBuffer>;
}

/** A loaded module: its memory and its sessions. One per worker. */
export class Onnxruntime {
  /** Bytes that {@link floats} and {@link bytes} have handed out. */
  allocatedBytes = 0;
  /** Graphs that have been run. */
  runs = 0;
  readonly #sizes = new Map<number, number>();

  private constructor(
    readonly module: OnnxModule,
    readonly threads: number,
    /** The module's memory: other WebAssembly may work on it too. */
    readonly memory: WebAssembly.Memory,
  ) {}

  /**
   * Loads the module and starts its threads.
   *
   * @param threads that share the work, the calling one included
   */
  static async open(threads: number): Promise<Onnxruntime> {
    const loaded: { default: ModuleFactory } = await import("onnxruntime-web/ort-wasm-simd-threaded.mjs");
    const wasmBinary = await readWasm(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
    // The module takes Deno for Node and puts Node's Worker in the place of the global one, and keeps its memory to itself.
    const { Worker, WebAssembly: { Memory } } = globalThis;
    let memory: WebAssembly.Memory | undefined;
    WebAssembly.Memory = new Proxy(Memory, {
      // As large as it can become from the start (4 GiB would be a size of 0 to 32 bits), of which the system gives what is used. Were it to grow, the other threads would
      // hear of it only when they next look, and one that is handed an address beyond what it knows crashes ("memory access out of
      // bounds"), upon which the rest wait for it for ever.
      construct: (target, [descriptor]) => memory = new target({ ...descriptor, initial: descriptor.maximum! - 1 }),
    });
    try {
      // Told of one thread, the module does not wait for others to start, which takes Deno a second in a worker: they start while the
      // weights are read, and until then a graph runs on those that are there.
      const module = await loaded.default({ numThreads: 1, wasmBinary });
      check(module, module._OrtInit(threads, LOG_ERRORS), "start onnxruntime");
      return new Onnxruntime(module, threads, memory!);
    } finally {
      globalThis.Worker = Worker;
      WebAssembly.Memory = Memory;
    }
  }

  /**
   * Floats in the module's memory, not initialised.
   *
   * @throws {HeapFullError}
   */
  floats(count: number): HeapFloats {
    const address = this.#allocate(count * 4);
    return { address, values: new Float32Array(this.module.HEAPU8.buffer, address, count) };
  }

  /** Bytes in the module's memory, not initialised. @throws {HeapFullError} */
  bytes(count: number): { readonly address: number; readonly values: Uint8Array<ArrayBuffer> } {
    const address = this.#allocate(count);
    return { address, values: new Uint8Array(this.module.HEAPU8.buffer, address, count) };
  }

  /** Gives memory back. */
  free({ address }: { readonly address: number }): void {
    this.allocatedBytes -= this.#sizes.get(address) ?? 0;
    this.#sizes.delete(address);
    this.module._free(address);
  }

  /** Compiles a graph. */
  async session(graph: Graph): Promise<Session> {
    const { module } = this;
    const options = module._OrtCreateSessionOptions(ALL_OPTIMISATIONS, 1, 1, 0, 0, 0, 0, LOG_ERRORS, 0, 0);
    const model = encodeModel(graph);
    const place = this.bytes(model.length);
    place.values.set(model);
    const handle = await module._OrtCreateSession(place.address, model.length, options);
    this.free(place);
    if (handle === 0) throw lastError(module, "compile a graph");
    return new Session(module, handle, graph);
  }

  #allocate(bytes: number): number {
    // The end of an allocation may be read by whole vectors.
    const address = this.module._malloc(bytes + 64) >>> 0;
    if (address === 0) {
      throw new HeapFullError(
        `WebAssembly's memory of ${MEMORY_LIMIT / 2 ** 30} GiB cannot hold another ${
          Math.ceil(bytes / 2 ** 20)
        } MiB: ` +
          `${Math.ceil(this.allocatedBytes / 2 ** 20)} MiB are taken`,
      );
    }
    this.#sizes.set(address, bytes);
    this.allocatedBytes += bytes;
    return address;
  }
}
