import assert from "node:assert/strict";
import { formatBytes, formatCount } from "../../src/cli/units.ts";

Deno.test("Sizes are shown in the largest unit that leaves at least one", () => {
  const cases: Record<number, string> = {
    0: "0 B",
    1023: "1023 B",
    1024: "1.0 KiB",
    1536: "1.5 KiB",
    [5 * 1024 ** 2]: "5.0 MiB",
    [2 * 1024 ** 3]: "2.0 GiB",
    [3 * 1024 ** 5]: "3072.0 TiB",
  };
  for (const [bytes, expected] of Object.entries(cases)) assert.equal(formatBytes(Number(bytes)), expected);
});

Deno.test("Counts are grouped by thousands", () => assert.equal(formatCount(1234567), "1,234,567"));
