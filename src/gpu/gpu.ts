/**
 * @file The GPU device: what was asked of the adapter, every byte allocated on it, and its pipelines.
 *
 * GPU memory is invisible to the garbage collector, so every buffer is made and destroyed here and counted. Pipelines
 * and bind groups are made at load; the counters let tests assert that nothing is made per token.
 */

/** How a kernel uses one of its storage buffers. */
export type BindingAccess = "read" | "write";

/**
 * A compute kernel. Its WGSL entry point is `main`; `@binding(0)` is the uniform `params` (at most 256 bytes, filled per
 * dispatch) and `@binding(1)`.. are the storage buffers in the order of `bindings`, all in group 0.
 */
export interface Kernel {
  /** Unique per WGSL text; shown in errors. */
  readonly label: string;
  readonly wgsl: string;
  readonly bindings: readonly BindingAccess[];
}

/** A compiled kernel. */
export interface Pipeline {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** A compiled kernel with its buffers bound: what a dispatch needs besides parameters and grid. */
export interface Binding {
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
}

/** Bytes of one dispatch's uniform parameters: WebGPU's default alignment of dynamic offsets. */
export const PARAMS_BYTES = 256;
/** Dispatches whose parameters fit into the arena before the recorder has to submit. */
const PARAMS_SLOTS = 8192;

/** No WebGPU adapter, or one that cannot run Ebb. */
export class NoAdapterError extends Error {
  override name = "NoAdapterError";
}

/** A buffer is larger than what a kernel can see of it on this adapter. */
export class BindingLimitError extends RangeError {
  override name = "BindingLimitError";
}

/** What was created so far; equal snapshots before and after mean that nothing was created between. */
export interface GpuCounters {
  buffers: number;
  bindGroups: number;
  pipelines: number;
}

/** Limits worth asking for: the defaults are far below what adapters offer. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Known to Deno 2.9, but not to its types. */
const SUBGROUPS = "subgroups" as GPUFeatureName;

/** A dispatch that was noted instead of recorded. */
export interface RehearsedDispatch {
  readonly binding: Binding;
  readonly params: readonly number[];
}

/** A device with its accounting. One per engine worker. */
export class Gpu {
  /** Bytes of all live buffers. */
  bytes = 0;
  readonly counters: GpuCounters = { buffers: 0, bindGroups: 0, pipelines: 0 };
  /** Uniform parameters of the dispatches of one submit; see {@link Recorder}. */
  readonly params: GPUBuffer;
  readonly paramsSlots = PARAMS_SLOTS;
  /** While it is set, nothing that is recorded runs: the first dispatch of each pipeline is noted here instead. */
  rehearsal: Map<Pipeline, RehearsedDispatch> | null = null;
  readonly #pipelines = new Map<string, Pipeline>();

  private constructor(
    readonly device: GPUDevice,
    readonly adapterName: string,
    readonly isSoftware: boolean,
    /** Threads of a subgroup, where that is a fixed number and kernels may use subgroup operations. */
    readonly subgroupSize: number | undefined,
  ) {
    this.params = this.createBuffer("params", PARAMS_SLOTS * PARAMS_BYTES, GPUBufferUsage.UNIFORM);
  }

  /**
   * Opens the default adapter with its own limits.
   *
   * @param features wanted beyond what the kernels need; those that the adapter does not offer are left out
   * @throws {NoAdapterError} when WebGPU finds no adapter
   */
  static async open(features: readonly GPUFeatureName[] = []): Promise<Gpu> {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) {
      throw new NoAdapterError("No WebGPU adapter found: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
    }
    const requiredLimits: Record<string, number> = {};
    for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
    const { description, device: model, isFallbackAdapter, subgroupMinSize, subgroupMaxSize } = adapter.info;
    const offered = features.filter((feature) => adapter.features.has(feature));
    const plain = () => adapter.requestDevice({ requiredLimits, requiredFeatures: offered });
    // Deno does not list the feature among the adapter's: whether there is one shows when it is asked for.
    const device = subgroupMinSize === subgroupMaxSize
      ? await adapter.requestDevice({ requiredLimits, requiredFeatures: [...offered, SUBGROUPS] }).catch(plain)
      : await plain();
    const subgroupSize = device.features.has(SUBGROUPS) ? subgroupMinSize : undefined;
    return new Gpu(device, description || model || "unknown adapter", isFallbackAdapter, subgroupSize);
  }

  /** Largest storage buffer that a kernel can see, in bytes. */
  get maxBindingBytes(): number {
    // wgpu on Vulkan fails above 2 GiB whatever the adapter reports.
    const { maxStorageBufferBindingSize, maxBufferSize } = this.device.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize, 2 ** 31 - 256);
  }

  /**
   * Allocates a buffer of at least `bytes` (rounded up to 16), zero-filled; counted in {@link bytes}.
   *
   * @param usage on top of COPY_SRC and COPY_DST; STORAGE by default
   * @throws {BindingLimitError} when a storage buffer would exceed what a binding can hold
   */
  createBuffer(label: string, bytes: number, usage: number = GPUBufferUsage.STORAGE): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (size > this.maxBindingBytes) {
      throw new BindingLimitError(
        `Cannot allocate ${label}: ${size} bytes exceed the ${this.maxBindingBytes} that one binding of this adapter holds`,
      );
    }
    const mappable = usage & GPUBufferUsage.MAP_READ;
    const buffer = this.device.createBuffer({
      label,
      size,
      usage: usage | GPUBufferUsage.COPY_DST | (mappable ? 0 : GPUBufferUsage.COPY_SRC),
    });
    this.bytes += size;
    this.counters.buffers++;
    return buffer;
  }

  /** Frees a buffer's memory now. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.bytes -= buffer.size;
    buffer.destroy();
  }

  /** Allocates a buffer and fills it with `data`. */
  upload(label: string, data: ArrayBufferView<ArrayBuffer>): GPUBuffer {
    const buffer = this.createBuffer(label, data.byteLength);
    this.write(buffer, 0, data);
    return buffer;
  }

  /** Writes bytes at an offset that is a multiple of 4; a length that is not is filled up with zeros. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    const whole = data.byteLength & ~3;
    const { queue } = this.device;
    queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, whole);
    if (whole === data.byteLength) return;
    const tail = new Uint8Array(4);
    tail.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole));
    queue.writeBuffer(buffer, offset + whole, tail);
  }

  /** Compiles a kernel, or returns what was compiled under its label before. */
  pipeline(kernel: Kernel): Pipeline {
    const known = this.#pipelines.get(kernel.label);
    if (known) {
      if (known.kernel.wgsl !== kernel.wgsl) throw new Error(`Two different kernels are labelled "${kernel.label}"`);
      return known;
    }
    const { device } = this;
    const entries: GPUBindGroupLayoutEntry[] = [{
      binding: 0,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: "uniform", hasDynamicOffset: true },
    }];
    kernel.bindings.forEach((access, index) =>
      entries.push({
        binding: index + 1,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: access === "read" ? "read-only-storage" : "storage" },
      })
    );
    const layout = device.createBindGroupLayout({ label: kernel.label, entries });
    const pipeline = device.createComputePipeline({
      label: kernel.label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ label: kernel.label, code: kernel.wgsl }), entryPoint: "main" },
    });
    const compiled = { kernel, pipeline, layout };
    this.#pipelines.set(kernel.label, compiled);
    this.counters.pipelines++;
    return compiled;
  }

  /** Binds storage buffers to a pipeline, in the order of its kernel's `bindings`. */
  bind(pipeline: Pipeline, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const { label, bindings } = pipeline.kernel;
    if (buffers.length !== bindings.length) {
      throw new Error(`Kernel ${label} binds ${bindings.length} buffers, got ${buffers.length}`);
    }
    this.counters.bindGroups++;
    return this.device.createBindGroup({
      label,
      layout: pipeline.layout,
      entries: [
        { binding: 0, resource: { buffer: this.params, size: PARAMS_BYTES } },
        ...buffers.map((buffer, index) => ({ binding: index + 1, resource: { buffer } })),
      ],
    });
  }

  /** Compiles a kernel and binds its buffers. */
  binding(kernel: Kernel, buffers: readonly GPUBuffer[]): Binding {
    const pipeline = this.pipeline(kernel);
    return { pipeline, group: this.bind(pipeline, buffers) };
  }

  /** Releases the device and everything on it. */
  destroy(): void {
    this.device.destroy();
  }
}
