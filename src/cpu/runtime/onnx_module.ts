/** @file onnxruntime's C functions, as its WebAssembly module has them, and the errors that they leave. */

/** What is used of the module that emscripten makes. Numbers are addresses, handles or, as results, error codes. */
export interface OnnxModule {
  readonly HEAPU8: Uint8Array<ArrayBuffer>;
  readonly HEAP32: Int32Array<ArrayBuffer>;
  UTF8ToString(address: number): string;
  _malloc(bytes: number): number;
  _free(address: number): void;
  _OrtInit(threads: number, logLevel: number): number;
  _OrtGetLastError(code: number, message: number): number;
  _OrtCreateSessionOptions(
    optimisation: number,
    arena: number,
    memoryPattern: number,
    executionMode: number,
    profiling: number,
    profilePrefix: number,
    logId: number,
    logLevel: number,
    logVerbosity: number,
    optimisedModel: number,
  ): number;
  _OrtCreateSession(model: number, bytes: number, options: number): number | Promise<number>;
  _OrtCreateRunOptions(logLevel: number, logVerbosity: number, terminate: boolean, tag: number): number;
  _OrtCreateTensor(
    type: number,
    data: number,
    bytes: number,
    shape: number,
    dimensions: number,
    location: number,
  ): number;
  _OrtReleaseTensor(tensor: number): number;
  _OrtRun(
    session: number,
    inputNames: number,
    inputs: number,
    inputCount: number,
    outputNames: number,
    outputCount: number,
    outputs: number,
    options: number,
  ): number;
}

/** Tells onnxruntime to report errors only. */
export const LOG_ERRORS = 3;

/** Throws the module's last error where `code` is one. */
export function check(module: OnnxModule, code: number, action: string): void {
  if (code !== 0) throw lastError(module, action);
}

/** The module's last error. */
export function lastError(module: OnnxModule, action: string): Error {
  const place = module._malloc(8);
  module._OrtGetLastError(place, place + 4);
  const message = module.UTF8ToString(module.HEAP32[place / 4 + 1] >>> 0);
  module._free(place);
  return new Error(`Cannot ${action}: ${message}`);
}
