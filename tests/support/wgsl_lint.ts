/**
 * @file What every kernel's WGSL must keep to beyond being valid: what naga miscompiles or refuses, the limits that every
 * adapter meets, and the declarations that {@link Kernel} repeats outside the text.
 */
import { type Kernel, PARAMS_BYTES } from "../../src/gpu/gpu.ts";

/** WebGPU's guaranteed limits; workgroup memory in bytes. */
export const WORKGROUP_BYTES = 16384;
const WORKGROUP_THREADS = 256;
const STORAGE_BINDINGS = 8;

interface Layout {
  readonly size: number;
  readonly align: number;
}

const roundUp = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

/** Splits at commas outside angle brackets. */
function splitList(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const character of text) {
    if (character === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += character;
    if (character === "<") depth++;
    if (character === ">") depth--;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** Size and alignment of a WGSL type of 4-byte scalars (WGSL specification, "Alignment and Size"). */
function layoutOf(wgsl: string, type: string): Layout {
  if (["u32", "i32", "f32"].includes(type)) return { size: 4, align: 4 };
  const [, generic, argument] = type.match(/^(\w+)<(.*)>$/) ?? [];
  if (generic === "atomic") return layoutOf(wgsl, argument);
  const vector = generic?.match(/^vec([234])$/);
  if (vector) return { size: Number(vector[1]) * 4, align: vector[1] === "2" ? 8 : 16 };
  if (generic === "array") {
    const [element, count] = splitList(argument);
    const { size, align } = layoutOf(wgsl, element);
    return { size: roundUp(size, align) * Number(count.replace(/u$/, "")), align };
  }
  const members = wgsl.match(new RegExp(`struct\\s+${type}\\s*\\{([^}]*)\\}`))?.[1];
  if (members === undefined) throw new TypeError(`Unknown WGSL type ${type}`);
  let end = 0;
  let align = 4;
  for (const member of splitList(members)) {
    const layout = layoutOf(wgsl, member.split(":")[1].trim());
    end = roundUp(end, layout.align) + layout.size;
    align = Math.max(align, layout.align);
  }
  return { size: roundUp(end, align), align };
}

/** Everything that is wrong with one kernel, in words; empty for a good one. */
export function lintKernel({ wgsl: text, bindings }: Kernel): string[] {
  const wgsl = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
  const problems: string[] = [];

  for (const [, name] of wgsl.matchAll(/\bvar(?:\s*<\s*(?:function|private)\s*>)?\s+(\w+)\s*(?::[^=;]*)?;/g)) {
    problems.push(`var ${name} has no initialiser: naga may carry its value from one loop iteration into the next`);
  }

  const signedNames = [
    ...wgsl.matchAll(/\b(\w+)\s*:\s*(?:i32|vec[234](?:i|<i32>))|\b(\w+)\s*=\s*-?(?:i32\s*\(|\d+i\b)/g),
  ]
    .map(([, declared, inferred]) => declared ?? inferred);
  const signed = new RegExp(`\\b(?:i32|vec[234]i|\\d+i${signedNames.map((name) => `|${name}`).join("")})\\b`);
  for (const statement of wgsl.split(/[;{}]/)) {
    if (statement.includes("%") && signed.test(statement)) problems.push(`signed remainder in "${statement.trim()}"`);
  }

  if (/^\s*enable\b/m.test(wgsl)) problems.push("naga refuses enable directives");
  if (/\bptr\s*<\s*(?:workgroup|storage)\b/.test(wgsl)) problems.push("naga refuses pointers to workgroup or storage");

  let workgroupBytes = 0;
  for (const [, type] of wgsl.matchAll(/var\s*<\s*workgroup\s*>\s*\w+\s*:\s*([^;]+);/g)) {
    workgroupBytes += roundUp(layoutOf(wgsl, type.trim()).size, 16);
  }
  if (workgroupBytes > WORKGROUP_BYTES) problems.push(`${workgroupBytes} bytes of workgroup memory`);

  const entries = [...wgsl.matchAll(/@workgroup_size\(([^)]*)\)\s*fn\s+(\w+)/g)];
  if (entries.length !== 1 || entries[0][2] !== "main") problems.push("the one entry point has to be main");
  const threads = (entries[0]?.[1] ?? "").split(",").reduce((product, size) => product * parseInt(size), 1);
  if (!(threads <= WORKGROUP_THREADS)) problems.push(`${threads} threads in a workgroup`);

  const declared = [
    ...wgsl.matchAll(/@group\((\d+)\)\s*@binding\((\d+)\)\s*var\s*<\s*(uniform|storage)\s*(?:,\s*(\w+)\s*)?>\s*(\w+)/g),
  ].map(([, group, binding, space, access, name]) => ({ group, binding: Number(binding), space, access, name }));
  declared.sort((a, b) => a.binding - b.binding);
  const [params, ...storage] = declared;
  if (params?.binding !== 0 || params.space !== "uniform" || params.name !== "params") {
    problems.push("binding 0 has to be the uniform params");
  } else {
    const { size } = layoutOf(wgsl, "Params");
    if (size > PARAMS_BYTES) problems.push(`Params has ${size} bytes, a slot ${PARAMS_BYTES}`);
  }
  const found = storage.map(({ group, binding, access }) => `${group}.${binding} ${access}`);
  const expected = bindings.map((access, i) => `0.${i + 1} ${access === "read" ? "read" : "read_write"}`);
  if (found.join() !== expected.join()) problems.push(`bindings ${found} do not match the kernel's ${expected}`);
  if (storage.length > STORAGE_BINDINGS) problems.push(`${storage.length} storage bindings`);
  return problems;
}
