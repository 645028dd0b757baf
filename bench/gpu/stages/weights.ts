/** @file Stage: writes the model's file. */
import type { TensorType } from "../../../src/formats/model_file.ts";
import { randomModelBytes, writeRandomModel } from "../random_model.ts";
import type { WeightResults } from "../results.ts";
import { SHAPES } from "../shapes.ts";
import type { StageContext } from "../stage.ts";

/** Writes the file and reports how fast. */
export async function writeWeights({ task, report, progress }: StageContext<WeightResults>): Promise<void> {
  const shape = SHAPES[task.shape];
  const type = task.weights as TensorType;
  const total = randomModelBytes(shape, type);
  const begun = performance.now();
  let said = begun;
  const bytes = await writeRandomModel(task.modelPath, shape, type, (done) => {
    if (performance.now() - said < 5000) return;
    said = performance.now();
    progress(`${(done / 1e9).toFixed(1)} of ${(total / 1e9).toFixed(1)} GB written`);
  });
  const seconds = (performance.now() - begun) / 1000;
  report({ path: task.modelPath, bytes, writeBytesPerSecond: bytes / seconds });
  progress(`${(bytes / 1e9).toFixed(2)} GB in ${seconds.toFixed(1)} s`);
}
