/** @file The part of the benchmarks' page that is written from the results. */
import assert from "node:assert/strict";
import { type NamedReport, withGpuPart } from "../../../bench/gpu/page.ts";
import { SHAPES } from "../../../bench/gpu/shapes.ts";

const REPORT: NamedReport = {
  name: "card",
  report: {
    benchmark: "gpu",
    date: "2026-11-28T05:00:00.000Z",
    deno: "2.9.6",
    platform: "linux x86_64",
    cpuThreads: 16,
    quick: false,
    results: {
      adapter: "Example Card",
      card: "Example Card, driver 1.2",
      shape: "llama-3-8b",
      weights: "Q4_K",
      lengths: SHAPES["llama-3-8b"].lengths,
      minutes: 8,
      stages: {
        adapter: {
          status: "done",
          seconds: 5,
          results: {
            info: { name: "Example Card" },
            isSoftware: false,
            features: [],
            limits: {},
            subgroupSize: 32,
            reads: [{ bytes: 2 ** 30, threads: 64, bytesPerSecond: 2e12 }],
            peaks: { readBytesPerSecond: 2e12 },
            overheads: {},
          },
        },
        decode: {
          status: "out of time",
          seconds: 60,
          error: "It was ended after 60 s",
          results: {
            loadSeconds: 9,
            loadBytesPerSecond: 5e8,
            gpuBytes: 1,
            maxBatch: 16,
            runs: [{
              streams: 4,
              promptTokens: 351,
              tokensPerStream: 128,
              tokensPerSecond: 312.4,
              bytesPerSecond: 5e11,
              dispatchesPerStep: 265,
              encodeMicrosecondsPerStep: 800,
              // What could not be divided comes out of a file so.
              stepsPerSubmit: null as unknown as number,
              longestWaitMilliseconds: 40,
              longestStallMilliseconds: 3,
            }],
          },
        },
        profile: { status: "failed", seconds: 1, error: "The adapter | has\nno clock" },
      },
    },
  },
};

Deno.test("the page gets a part that says which adapter figures are of, and what stages did not end", () => {
  const page = withGpuPart("# Benchmarks\n\nWords.\n", [REPORT]);
  assert.ok(page.startsWith("# Benchmarks\n\nWords.\n"));
  assert.ok(page.includes("### Example Card\n\nllama-3-8b with random Q4_K weights; Example Card, driver 1.2; linux"));
  // A quarter of the peak: 500 of 2,000 GB/s.
  assert.match(page, /\| 4 \| 351 \| 312 \| 500 \| 25 % \| 265 \| 800 \| +\| 40 \| 3 \|/);
  assert.ok(page.includes("- This stage: out of time: It was ended after 60 s"));
  assert.ok(page.includes("- This stage: failed: The adapter \\| has\n"));
  assert.ok(!page.includes("gpu-card.svg"), "there is no profile to be drawn");
});

Deno.test("the page's part is replaced, and what is around it stays", () => {
  const first = withGpuPart("Before.\n", []);
  assert.ok(first.includes("Nobody has run it on one yet"));
  const second = withGpuPart(`${first}\nAfter.\n`, [REPORT]);
  assert.ok(second.startsWith("Before.\n"));
  assert.ok(second.endsWith("\nAfter.\n"));
  assert.ok(!second.includes("Nobody has run it"));
  assert.equal(withGpuPart(second, [REPORT]), second);
});
