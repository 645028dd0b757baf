/** A scorer in WGSL: rows whose values are large for how long their keys are. On the CPU, where no WGSL runs, short keys alone. */
import { defineScorer, keyNorm, wgsl, z } from "ebb/policy";

export default defineScorer({
  api: 1,
  name: "loud-values",
  description: "Scores a row by the length of its value over that of its key",
  options: z.strictObject({
    power: z.number().min(0).max(4).default(1).describe("How much the length of the key counts"),
  }),
  score: ({ budget }, { power }) => {
    const window = Math.max(1, Math.min(8, Math.floor(budget / 2)));
    return [wgsl({
      window,
      uniforms: { power },
      code: `
fn score(row: u32) -> f32 {
  var keys: f32 = 0.0;
  var values: f32 = 0.0;
  for (var i: u32 = 0u; i < head_size() / 4u; i++) {
    keys += dot(key4(row, i), key4(row, i));
    values += dot(value4(row, i), value4(row, i));
  }
  return sqrt(values) / (0.001 + pow(sqrt(keys), uniforms.power));
}`,
      otherwise: keyNorm({ window }),
    })];
  },
});
