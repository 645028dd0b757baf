/** @file What kernels for subgroups of eight threads share; why they are worth having, says subgroup_prefill_attention.ts. */

/** Threads of a subgroup. */
export const LANES = 8;

/** WGSL that combines what the lanes of a subgroup have of a variable, those that are a multiple of `from` apart. */
export function acrossLanes(name: string, combine: (a: string, b: string) => string, from = 1): string {
  return [1, 2, 4].filter((distance) => distance >= from).map((distance) =>
    `${name} = ${combine(name, `subgroupShuffleXor(${name}, ${distance}u)`)};`
  ).join(" ");
}
