import assert from "node:assert/strict";
import type { KernelResult } from "../../bench/kernel_results.ts";
import { fastestPeer } from "../../bench/plot.ts";
import { compressionText, decodeText, kernelsText } from "../../bench/tables.ts";

const peer = (kernel: string, microseconds: number) => ({ kernel, microseconds, gflops: 1, difference: 1e-6 });
const result: KernelResult = {
  group: "decode product",
  name: "F32",
  ebb: { microseconds: 50, gflops: 2, gigabytesPerSecond: 9 },
  peers: [peer("slow", 400), peer("fast", 100)],
};

/** The cells of a table's line. */
const cells = (text: string, label: string) =>
  text.split("\n").find((line) => line.trimStart().startsWith(label))!.trim().split(/ {2,}/);

Deno.test("fastestPeer() is the peer's way that takes the least time, or none", () => {
  assert.equal(fastestPeer(result)!.kernel, "fast");
  assert.equal(fastestPeer({ ...result, peers: [] }), undefined);
});

Deno.test("kernelsText() compares times with the peer's and speeds with the peak that they come closer to", () => {
  const peaks = { operationsPerSecond: 20e9, readBytesPerSecond: 10e9 };
  const text = kernelsText({ adapter: "test adapter", peaks, results: [result] });
  assert.match(text, /test adapter/);
  // 2 of 20 GFLOP/s, but 9 of 10 GB/s.
  assert.deepEqual(cells(text, "decode product, F32").slice(-1), ["90 % reads"]);
  assert.deepEqual(cells(text, "slow").slice(1), ["400", "1", "5 % arithmetic", "8x", "1e-6"]);
  assert.deepEqual(cells(text, "fast").slice(1), ["100", "1", "5 % arithmetic", "2x", "1e-6"]);
});

Deno.test("decodeText() has a column for each number of streams and compares their speeds", () => {
  const run = (streams: number, tokensPerSecond: number) => ({
    streams,
    tokensPerSecond,
    tokensPerStream: 100,
    dispatchesPerStep: 30,
    dispatchesPerToken: 30 / streams,
    stepsPerSubmit: 4,
    encodeMicrosecondsPerToken: 100,
    buffersCreated: 0,
    bindGroupsCreated: 0,
    longestStallMilliseconds: 2,
  });
  const text = decodeText({
    model: "test",
    adapter: "test adapter",
    runs: [run(1, 200), run(16, 1000)],
    idleStallMilliseconds: 1,
  });
  assert.deepEqual(cells(text, "tokens/s"), ["tokens/s, all streams", "200", "1000"]);
  assert.match(text, /16 streams of 100 tokens in total are 5x as fast as one/);
});

Deno.test("compressionText() counts the scratch into the peak and compares bytes and times with the full cache's", () => {
  const mebibyte = 2 ** 20;
  const run = (policy: string, budget: number | string, bytes: number, firstTokenSeconds: number) => ({
    policy,
    budget,
    peakPoolBytes: 2 * bytes,
    scratchBytes: mebibyte,
    finalBytes: bytes,
    rowsPerLayer: [10, 30, 20],
    firstTokenSeconds,
    rounds: [firstTokenSeconds],
  });
  const text = compressionText({
    adapter: "test adapter",
    model: { layers: 3 } as any,
    promptTokens: 100,
    runs: [run("full", "100%", 8 * mebibyte, 2), run("dynamickv", 20, 2 * mebibyte, 2.1)],
  });
  assert.deepEqual(cells(text, "dynamickv 20"), [
    "dynamickv 20",
    "2",
    "25 %",
    "5",
    "4",
    "1",
    "2.1",
    "105 %",
    "10 to 30",
  ]);
});
