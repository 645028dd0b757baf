/** @file Makes sure that there is a WebGPU adapter, installing Mesa's software driver where that is possible. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endWorker } from "../gpu/worker_end.ts";
import type { AdapterSummary } from "./adapter_probe.ts";
import { NoAdapterError } from "../gpu/gpu.ts";

/** Debian's and Ubuntu's names of Mesa's Vulkan drivers (llvmpipe among them) and of the library that loads them. */
const DEBIAN_PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];

/** What to type, by the command that installs packages; the first one found counts. */
const INSTALL_ADVICE = {
  "apt-get": `apt-get install ${DEBIAN_PACKAGES.join(" ")}`,
  dnf: "dnf install mesa-vulkan-drivers vulkan-loader",
  zypper: "zypper install libvulkan_lvp libvulkan1",
  pacman: "pacman -S vulkan-swrast vulkan-icd-loader",
} as const;

/** The machine, as far as looking for an adapter touches it. */
export interface System {
  readonly os: typeof Deno.build.os;
  readonly isRoot: boolean;
  /** Looks for an adapter anew. */
  findAdapter(): Promise<AdapterSummary | null>;
  hasCommand(name: string): Promise<boolean>;
  /** Runs a command to its end; `output` is what it printed, both streams. */
  execute(command: readonly string[]): Promise<{ readonly success: boolean; readonly output: string }>;
}

/**
 * Finds a WebGPU adapter. Where there is none on a Debian or Ubuntu system and the user is root, installs Mesa's drivers
 * and looks again.
 *
 * @param log receives a line for people about each step that takes long
 * @throws {NoAdapterError} saying what to install
 */
export async function ensureAdapter(
  log: (line: string) => void,
  system: System = thisSystem(),
): Promise<AdapterSummary> {
  const found = await system.findAdapter();
  if (found !== null) return found;

  const installer = await firstInstaller(system);
  if (installer !== "apt-get" || !system.isRoot) throw new NoAdapterError(advice(system, installer));

  await installMesa(log, system);
  const installed = await system.findAdapter();
  if (installed !== null) return installed;
  throw new NoAdapterError(
    `No WebGPU adapter was found although ${DEBIAN_PACKAGES.join(" and ")} are installed: ` +
      "check with vulkaninfo (package vulkan-tools) what the Vulkan loader sees",
  );
}

async function installMesa(log: (line: string) => void, system: System): Promise<void> {
  log(`No WebGPU adapter was found: installing Mesa's software driver (${DEBIAN_PACKAGES.join(", ")})`);
  log("  apt-get update");
  // A stale or partly broken package list may still hold what is needed: only the installation decides.
  const update = await system.execute(["apt-get", "update"]);
  log(`  apt-get install ${DEBIAN_PACKAGES.join(" ")}`);
  const install = await system.execute(["apt-get", "install", "-y", "--no-install-recommends", ...DEBIAN_PACKAGES]);
  if (install.success) return;
  const said = (update.success ? install.output : update.output + install.output).trim().split("\n").slice(-6);
  throw new NoAdapterError(
    `No WebGPU adapter was found, and ${INSTALL_ADVICE["apt-get"]} failed; it said:\n  ${said.join("\n  ")}`,
  );
}

async function firstInstaller(system: System): Promise<keyof typeof INSTALL_ADVICE | undefined> {
  if (system.os !== "linux") return undefined;
  for (const name of Object.keys(INSTALL_ADVICE) as (keyof typeof INSTALL_ADVICE)[]) {
    if (await system.hasCommand(name)) return name;
  }
}

function advice(system: System, installer: keyof typeof INSTALL_ADVICE | undefined): string {
  const missing = "No WebGPU adapter was found";
  if (system.os === "darwin") return `${missing}: Ebb needs a Mac with Metal, outside a virtual machine without a GPU`;
  if (system.os === "windows") return `${missing}: install the graphics driver of your GPU, with DirectX 12 or Vulkan`;
  if (installer === undefined) {
    return `${missing}: install a Vulkan driver and the Vulkan loader (libvulkan.so.1); Mesa's llvmpipe needs no GPU`;
  }
  const sudo = system.isRoot ? "" : "sudo ";
  return `${missing}: install your GPU's Vulkan driver, or Mesa's software driver with\n  ${sudo}${
    INSTALL_ADVICE[installer]
  }`;
}

/** Settings that drivers read when they start; those that the user made stay. */
export function prepareDriverEnvironment(): void {
  // wgpu would fall back to OpenGL, which Ebb's kernels are not tested on, and hide that a Vulkan driver is missing.
  setUnlessSet("DENO_WEBGPU_BACKEND", () => "vulkan,metal,dx12");
  if (Deno.build.os !== "linux") return;
  // Mesa complains on standard error where this is unset, although it writes nothing there.
  setUnlessSet("XDG_RUNTIME_DIR", () => {
    const directory = join(tmpdir(), `ebb-runtime-${Deno.uid()}`);
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    } catch {
      // A read-only system: the complaint is harmless.
    }
    return directory;
  });
}

function setUnlessSet(name: string, value: () => string): void {
  if (!Deno.env.get(name)) Deno.env.set(name, value());
}

/** The machine that the program runs on. */
export function thisSystem(): System {
  prepareDriverEnvironment();
  return {
    os: Deno.build.os,
    isRoot: Deno.uid() === 0,
    findAdapter,
    hasCommand: async (name) => {
      // A container or service need not be allowed to run programs: then there are none.
      const { state } = await Deno.permissions.query({ name: "run", command: "sh" });
      return state === "granted" && (await execute(["sh", "-c", `command -v ${name}`])).success;
    },
    execute,
  };
}

function findAdapter(): Promise<AdapterSummary | null> {
  const worker = new Worker(new URL("./adapter_probe.ts", import.meta.url), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<AdapterSummary | null>();
  worker.onmessage = (event) => resolve(event.data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`Looking for a WebGPU adapter failed: ${event.message}`));
  };
  return promise.finally(() => endWorker(worker));
}

async function execute(command: readonly string[]): Promise<{ success: boolean; output: string }> {
  const [program, ...args] = command;
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
}
