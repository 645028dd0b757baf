/** @file Makes bodies of requests wrong, in the ways in which clients, and those who mean harm, get them wrong. */
import type { Random } from "../../src/eval/tasks/random.ts";

/** Values that hardly any field expects. */
const ODD_VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e308, -1e308, 2 ** 53, -(2 ** 63), 4294967296],
  ...[
    "",
    " ",
    "\u0000",
    "\ud800",
    "\u202e",
    "é".normalize("NFD"),
    "👨‍👩‍👧‍👦",
    "世界",
    "x".repeat(5000),
    "<|im_end|>",
    "{{ 7*7 }}",
    "../../etc",
  ],
  ...[[], [[]], [null], Array(300).fill(0), {}, { type: "x" }, { __proto__: null, constructor: 1 }, { "": "" }],
];

/** A JSON value with one thing in it replaced, dropped, doubled or renamed. */
export function mutateValue(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.below(5) === 0) return random.pick(ODD_VALUES);
  const isArray = Array.isArray(value);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.pick(ODD_VALUES);
  const key = random.pick(keys);
  const copy: any = isArray ? [...value] : { ...value };
  switch (random.below(6)) {
    case 0:
      if (isArray) copy.splice(Number(key), 1);
      else delete copy[key];
      return copy;
    case 1:
      if (isArray) copy.push(copy[key]);
      else copy[`${key}_`] = copy[key];
      return copy;
    case 2:
      copy[isArray ? copy.length : random.pick(["__proto__", "n", "stop", "stream", "kv_cache", "tools"])] = random
        .pick(
          ODD_VALUES,
        );
      return copy;
    default:
      copy[key] = mutateValue(copy[key], random);
      return copy;
  }
}

/** Bytes with some of them changed, dropped, doubled or cut off. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const list = [...bytes];
  for (let change = random.between(1, 4); change > 0; change--) {
    const at = random.below(list.length + 1);
    switch (random.below(4)) {
      case 0:
        list[at] = random.below(256);
        break;
      case 1:
        list.splice(at, random.between(1, 8));
        break;
      case 2:
        list.splice(at, 0, ...list.slice(at, at + random.between(1, 16)));
        break;
      case 3:
        list.splice(at, 0, random.pick([0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0xff, 0xc3, 0x00]));
    }
  }
  return Uint8Array.from(random.below(10) === 0 ? list.slice(0, random.below(list.length + 1)) : list);
}

const ODD_HEADERS: readonly (readonly [string, string])[] = [
  ["content-type", "text/plain"],
  ["content-type", "multipart/form-data; boundary=x"],
  ["accept", "*/*;q=nonsense"],
  ["authorization", "Bearer"],
  ["authorization", "Basic !!!"],
  ["x-api-key", "\u00e9"],
  ["x-request-id", "x".repeat(300)],
  ["x-request-id", "<script>"],
  ["x-request-timeout", "NaN"],
  ["x-request-timeout", "60"],
  ["origin", "null"],
  ["traceparent", "00-zz-zz-01"],
  ["traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
  ["accept-encoding", "gzip, br, deflate"],
];

/** Some headers, of which some are odd. */
export function oddHeaders(random: Random): Record<string, string> {
  return Object.fromEntries(Array.from({ length: random.below(3) }, () => random.pick(ODD_HEADERS)));
}
