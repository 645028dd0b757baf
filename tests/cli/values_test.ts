import assert from "node:assert/strict";
import {
  bytes,
  cacheBudget,
  integer,
  listOf,
  number,
  oneOf,
  onOff,
  origin,
  text,
  type ValueType,
} from "../../src/cli/values.ts";

/** Text and what it stands for; undefined where it is refused. */
const CASES: readonly [string, ValueType<unknown>, Record<string, unknown>][] = [
  ["integer(1, 9)", integer(1, 9), {
    "1": 1,
    "9": 9,
    "0": undefined,
    "10": undefined,
    "-1": undefined,
    "1.5": undefined,
    "1e0": undefined,
    "": undefined,
    " 1": undefined,
    "0x1": undefined,
  }],
  ["integer(0)", integer(0), { "9007199254740991": 9007199254740991, "9007199254740993": undefined }],
  ["number(0, 1)", number(0, 1), {
    "0": 0,
    "1": 1,
    "0.25": 0.25,
    ".5": 0.5,
    "1.": 1,
    "1.01": undefined,
    "-0.1": undefined,
    ".": undefined,
    "NaN": undefined,
    "Infinity": undefined,
  }],
  ["oneOf", oneOf("f16", "f32"), { f16: "f16", f32: "f32", F16: undefined, "": undefined }],
  ["listOf", listOf(integer(1)), { "1": [1], "3, 1,3": [3, 1], "1,0": undefined, "1,": undefined, "": undefined }],
  ["onOff", onOff, { true: true, "1": true, false: false, "0": false, yes: undefined, toString: undefined }],
  ["text", text("FILE", "a file"), { "a b": "a b", "": undefined }],
  ["bytes", bytes, {
    "1000": 1000,
    "3B": 3,
    "1k": 1024,
    "2K": 2048,
    "1KB": 1000,
    "1KiB": 1024,
    "512MiB": 536870912,
    "2G": 2147483648,
    "2GB": 2000000000,
    "1.5GiB": 1610612736,
    "1 T": 1099511627776,
    "0": undefined,
    "": undefined,
    "G": undefined,
    "2X": undefined,
    "-1K": undefined,
    "99999T": undefined,
  }],
  ["origin", origin, {
    "*": "*",
    "https://example.com": "https://example.com",
    "http://localhost:3000": "http://localhost:3000",
    "http://[::1]:8080": "http://[::1]:8080",
    // As browsers write them.
    "HTTPS://Example.com:443": "https://example.com",
    "chrome-extension://abcdef": "chrome-extension://abcdef",
    "": undefined,
    "null": undefined,
    "example.com": undefined,
    "localhost:3000": undefined,
    "https://": undefined,
    "https://example.com/": undefined,
    "https://example.com/page": undefined,
    "https://user@example.com": undefined,
    "https://*.example.com": undefined,
    "https://example.com:99999": undefined,
  }],
  ["cacheBudget", cacheBudget, {
    "512": 512,
    "6.9%": "6.9%",
    "100%": "100%",
    "0": undefined,
    "0%": undefined,
    "101%": undefined,
    "%": undefined,
    "1.5": undefined,
    "many": undefined,
  }],
];

for (const [name, type, cases] of CASES) {
  Deno.test(`${name} accepts what it should and nothing else`, () => {
    for (const [text, expected] of Object.entries(cases)) {
      assert.deepEqual(type.parse(text), expected, JSON.stringify(text));
    }
  });
}
