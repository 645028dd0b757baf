import assert from "node:assert/strict";
import type { AdapterSummary } from "../../src/serving/adapter_probe.ts";
import { chooseDevice } from "../../src/serving/device.ts";
import type { System } from "../../src/serving/environment.ts";

/** A machine on which WebGPU finds this adapter, and on which nothing may be installed. */
function machine(adapter: AdapterSummary | null): System {
  return {
    os: "linux",
    isRoot: true,
    findAdapter: () => Promise.resolve(adapter),
    hasCommand: () => Promise.resolve(false),
    execute: (command) => assert.fail(`ran ${command}`),
  };
}

const GPU: AdapterSummary = { description: "a card", software: false };
const LLVMPIPE: AdapterSummary = { description: "llvmpipe", software: true };
const silent = (line: string) => assert.fail(line);

Deno.test("auto computes on a GPU that is there, and on the CPU where WebGPU has none or only a software adapter", async () => {
  assert.equal(await chooseDevice("auto", silent, machine(GPU)), "gpu");
  assert.equal(await chooseDevice("auto", silent, machine(LLVMPIPE)), "cpu");
  assert.equal(await chooseDevice("auto", silent, machine(null)), "cpu");
});

Deno.test("gpu takes a software adapter, and fails where there is none", async () => {
  assert.equal(await chooseDevice("gpu", silent, machine(GPU)), "gpu");
  assert.equal(await chooseDevice("gpu", silent, machine(LLVMPIPE)), "gpu");
  await assert.rejects(chooseDevice("gpu", silent, machine(null)), /No WebGPU adapter was found/);
});

Deno.test("cpu asks WebGPU nothing", async () => {
  const system = { ...machine(null), findAdapter: () => assert.fail("asked for an adapter") };
  assert.equal(await chooseDevice("cpu", silent, system), "cpu");
});
