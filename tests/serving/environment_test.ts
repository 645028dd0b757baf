import assert from "node:assert/strict";
import type { AdapterSummary } from "../../src/serving/adapter_probe.ts";
import { ensureAdapter, type System, thisSystem } from "../../src/serving/environment.ts";
import { NoAdapterError } from "../../src/gpu/gpu.ts";

const LLVMPIPE: AdapterSummary = { description: "llvmpipe", software: true };

/** A machine that has some commands, and finds these adapters one after the other. */
function fakeSystem(
  setting: Partial<System> & { commands?: string[]; adapters?: (AdapterSummary | null)[]; failing?: string },
) {
  const executed: string[] = [];
  const adapters = [...setting.adapters ?? []];
  const system: System = {
    os: "linux",
    isRoot: true,
    findAdapter: () => Promise.resolve(adapters.shift() ?? null),
    hasCommand: (name) => Promise.resolve(setting.commands?.includes(name) ?? false),
    execute: (command) => {
      executed.push(command.join(" "));
      const success = setting.failing === undefined || !command.includes(setting.failing);
      return Promise.resolve({ success, output: success ? "fine\n" : `E: ${setting.failing} went wrong\n` });
    },
    ...setting,
  };
  return { system, executed };
}

/** The error's message and what was logged before it. */
async function failureOf(system: System): Promise<{ message: string; log: string[] }> {
  const log: string[] = [];
  try {
    await ensureAdapter((line) => log.push(line), system);
  } catch (error) {
    assert.ok(error instanceof NoAdapterError);
    return { message: error.message, log };
  }
  assert.fail("an adapter was found");
}

Deno.test("An adapter that is there is used and nothing is installed", async () => {
  const { system, executed } = fakeSystem({ commands: ["apt-get"], adapters: [LLVMPIPE] });
  assert.equal(await ensureAdapter(() => assert.fail("nothing to say"), system), LLVMPIPE);
  assert.deepEqual(executed, []);
});

Deno.test("On Debian as root, Mesa's driver is installed, with a word about it", async () => {
  const { system, executed } = fakeSystem({ commands: ["apt-get"], adapters: [null, LLVMPIPE] });
  const log: string[] = [];
  assert.equal(await ensureAdapter((line) => log.push(line), system), LLVMPIPE);
  assert.deepEqual(executed, [
    "apt-get update",
    "apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1",
  ]);
  assert.match(log[0], /^No WebGPU adapter was found: installing Mesa's software driver/);
});

Deno.test("A failing apt-get update alone does not keep the driver from being installed", async () => {
  const { system } = fakeSystem({ commands: ["apt-get"], adapters: [null, LLVMPIPE], failing: "update" });
  assert.equal(await ensureAdapter(() => {}, system), LLVMPIPE);
});

Deno.test("A failing installation is told in apt-get's own words", async () => {
  const { system } = fakeSystem({ commands: ["apt-get"], failing: "install" });
  const { message } = await failureOf(system);
  assert.match(message, /apt-get install mesa-vulkan-drivers libvulkan1 failed/);
  assert.match(message, /E: install went wrong/);
});

Deno.test("A driver that is installed but not seen is told with a way to look further", async () => {
  const { system } = fakeSystem({ commands: ["apt-get"], adapters: [null, null] });
  assert.match((await failureOf(system)).message, /are installed: check with vulkaninfo/);
});

Deno.test("On Debian without root, nothing is run and the command is told", async () => {
  const { system, executed } = fakeSystem({ commands: ["apt-get"], isRoot: false });
  assert.match((await failureOf(system)).message, /\n {2}sudo apt-get install mesa-vulkan-drivers libvulkan1$/);
  assert.deepEqual(executed, []);
});

const ADVICE: readonly [string, Parameters<typeof fakeSystem>[0], RegExp][] = [
  ["Fedora", { commands: ["dnf"] }, /dnf install mesa-vulkan-drivers vulkan-loader$/],
  ["openSUSE", { commands: ["zypper"] }, /zypper install libvulkan_lvp libvulkan1$/],
  ["Arch", { commands: ["pacman"], isRoot: false }, /sudo pacman -S vulkan-swrast vulkan-icd-loader$/],
  ["an unknown Linux", {}, /install a Vulkan driver and the Vulkan loader/],
  ["macOS", { os: "darwin" }, /a Mac with Metal/],
  ["Windows", { os: "windows" }, /the graphics driver of your GPU, with DirectX 12 or Vulkan$/],
];

for (const [name, setting, expected] of ADVICE) {
  Deno.test(`On ${name}, nothing is run and the right advice is given`, async () => {
    const { system, executed } = fakeSystem(setting);
    assert.match((await failureOf(system)).message, expected);
    assert.deepEqual(executed, []);
  });
}

Deno.test({
  name: "A driver that appears while the program runs is found without a restart",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // In a process of its own: hiding the driver would hide it from other tests. "Installing" takes the blindfold off.
    const script = `
      import { ensureAdapter, thisSystem } from "${new URL("../../src/serving/environment.ts", import.meta.url)}";
      const system = {
        ...thisSystem(),
        isRoot: true,
        hasCommand: () => Promise.resolve(true),
        execute: () => {
          Deno.env.delete("VK_DRIVER_FILES");
          Deno.env.delete("VK_ICD_FILENAMES");
          return Promise.resolve({ success: true, output: "" });
        },
      };
      const { description } = await ensureAdapter(() => console.log("installing"), system);
      console.log(description !== "" ? "found" : "nothing");
      Deno.exit();
    `;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=ts", script],
      env: { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent", DENO_WEBGPU_BACKEND: "vulkan" },
    }).output();
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    assert.equal(lines[0], "installing", new TextDecoder().decode(stderr));
    assert.equal(lines.at(-1), "found", new TextDecoder().decode(stderr));
  },
});

Deno.test({
  name: "where Ebb may run no programs, it finds none, and asks for no permission",
  permissions: { run: false, env: true, read: true, write: true, sys: true },
  async fn() {
    assert.equal(await thisSystem().hasCommand("sh"), false);
  },
});

Deno.test("thisSystem() finds the commands that there are", async () => {
  assert.equal(await thisSystem().hasCommand("sh"), Deno.build.os !== "windows");
  assert.equal(await thisSystem().hasCommand("no-such-command-anywhere"), false);
});
