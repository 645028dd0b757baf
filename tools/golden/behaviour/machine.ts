/** @file On what a record was made: what decides the last bits of a result. */

/** Equal machines round alike. */
export interface Machine {
  /** The adapter's description; of llvmpipe it names LLVM's version and the width of the CPU's vectors. */
  readonly adapter: string;
  readonly subgroupSizes: readonly number[];
  /** Maker of the CPU, and which of the instructions that change rounding it has: a software adapter compiles to them. */
  readonly cpu: string;
}

/** The machine that this runs on. */
export async function thisMachine(): Promise<Machine> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("No WebGPU adapter found: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
  const { description, device, subgroupMinSize, subgroupMaxSize } = adapter.info;
  return { adapter: description || device, subgroupSizes: [subgroupMinSize, subgroupMaxSize], cpu: await cpuOf() };
}

async function cpuOf(): Promise<string> {
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const field = (name: string) => info.match(new RegExp(`^${name}\\s*: (.*)$`, "m"))?.[1] ?? "";
  const flags = field("flags").split(" ").filter((flag) => ["avx", "avx2", "fma", "avx512f"].includes(flag));
  return [Deno.build.arch, field("vendor_id"), ...flags].join(" ").trim();
}
