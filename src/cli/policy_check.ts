/** @file `main.ts policy check`: faults of users' policies, found without a model, and a picture of what they keep. */
import { type HeatMapPanel, heatMapPanel } from "../charts/heat_map_panel.ts";
import { drawFigure, inLines } from "../charts/svg.ts";
import { compileWgsl, userScoresVariant } from "../compression/steps/wgsl.ts";
import { compileKernels } from "../engine/plugin_kernels.ts";
import { Gpu, NoAdapterError } from "../gpu/gpu.ts";
import { type CheckedPolicy, checkPolicy } from "../policy/check/check_policy.ts";
import type { Policy } from "../policy/policy.ts";
import { combinationName, type PolicyRegistry } from "../policy/registry.ts";
import { prepareDriverEnvironment } from "../serving/environment.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { PolicyCheckOptions } from "./flags/policies.ts";
import { requireOutFile } from "./out_file.ts";
import { policiesOf } from "./policies.ts";

/** Checks the policies of a file, and halves of policies together with Ebb's own. */
export async function policyCheck({ file, out = `${file}.check.svg` }: PolicyCheckOptions): Promise<number> {
  await requireOutFile("--out", out, ".svg");
  const registry = await policiesOf({ plugin: [file] });
  const checked = policiesToCheck(registry).map(checkPolicy);
  for (const { policy, faults, kept, slowest } of checked) {
    if (faults.length === 0) {
      console.log(
        `${policy.name}: no fault found; ${kept.length} prompts compressed, at most ${slowest.toFixed(1)} ms a call`,
      );
    }
    for (const { what, input } of faults) console.log(`${policy.name}: ${what}\n  with ${input}`);
  }
  console.log(await checkKernels(registry));
  await Deno.writeTextFile(out, keptRowsPicture(checked));
  console.log(`${out} shows the rows that each layer keeps`);
  return checked.every(({ faults }) => faults.length === 0) ? EXIT_CODES.ok.code : EXIT_CODES.failure.code;
}

/** The policies of all plugins; scorers share their budgets as DynamicKV does, and allocators are given SnapKV's scores. */
export function policiesToCheck(registry: PolicyRegistry): Policy[] {
  const names = registry.files.flatMap(({ plugins }) =>
    plugins.map(({ kind, name }) =>
      kind === "policy"
        ? name
        : kind === "scorer"
        ? combinationName(name, "dynamickv")
        : combinationName("snapkv", name)
    )
  );
  return names.map((name) => registry.find(name)!);
}

/** Compiles kernels for an ordinary model. @throws {PluginError} naming the place at which the compiler takes offence */
async function checkKernels({ files }: PolicyRegistry): Promise<string> {
  const shape = { layerCount: 32, kvHeadCount: 8, queryHeadCount: 32, headSize: 128 };
  let kernels = 0;
  let gpu: Gpu | null = null;
  try {
    await compileKernels(
      async (step) => {
        kernels++;
        prepareDriverEnvironment();
        gpu ??= await Gpu.open();
        return await compileWgsl(gpu, userScoresVariant({ ...shape, element: "f16", capacity: 4096 }, step));
      },
      shape,
      files,
    );
  } catch (error) {
    if (error instanceof NoAdapterError) return "WGSL was not compiled, for there is no WebGPU adapter here";
    throw error;
  } finally {
    (gpu as Gpu | null)?.destroy();
  }
  return kernels === 0 ? "No WGSL of their own" : "Their WGSL compiles";
}

/** For each policy, the share of the prompt that each layer keeps, by prompt. */
function keptRowsPicture(checked: readonly CheckedPolicy[]): string {
  const panels = checked.flatMap(({ policy, kept }): HeatMapPanel[] => {
    // One of a kind: chats and prompts of one length keep alike, unless messages are protected.
    const shown = kept.filter(({ context: { layerCount, messages } }) => layerCount === 12 && messages.length > 1)
      .slice(0, 8);
    if (shown.length === 0) return [];
    return [{
      title: policy.name,
      axis: "layer; per cent of the prompt's rows",
      columns: Array.from({ length: 12 }, (_, layer) => String(layer)),
      rows: shown.map(({ context: { promptLength, budget } }) => `${budget} of ${promptLength}`),
      values: shown.map(({ context: { promptLength }, rowsPerLayer }) =>
        rowsPerLayer.map((rows) => 100 * rows / promptLength)
      ),
    }];
  });
  const frame = {
    title: "Rows that each layer keeps, by budget and length of the prompt",
    notes: ["Of made-up scores: in every fifth layer they are spread more evenly than in the next"],
    series: [],
    columns: Math.max(1, Math.min(2, panels.length)),
    panelWidth: 460,
  };
  return drawFigure(
    frame,
    inLines(panels.map(heatMapPanel), frame.columns),
  );
}
