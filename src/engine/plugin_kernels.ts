/** @file The kernels that plugins bring, compiled when they are loaded: a request is no time to find out that one cannot be. */
import { BLOCK_ROWS } from "../cache/block.ts";
import type { Compressor } from "../compression/compressor.ts";
import type { PolicyContext } from "../policy/context.ts";
import { PluginError } from "../policy/loading/plugin_bundle.ts";
import { SourcePositions } from "../policy/loading/source_positions.ts";
import type { Scorer } from "../policy/policy.ts";
import type { PluginFile } from "../policy/registry.ts";
import { allSteps } from "../policy/steps.ts";
import type { Wgsl } from "../policy/steps/wgsl.ts";
import type { CacheShape } from "./forecast.ts";

/** An ordinary prompt: kernels are the same for all. */
const PROMPT = { promptLength: 4096, budget: 512, messages: [{ role: "prompt", start: 0, end: 4096 }] };

/** See {@link Compressor.compile}. */
export type Compile = (step: Wgsl) => ReturnType<Compressor["compile"]>;

/**
 * Compiles the kernels of plugins.
 *
 * @throws {PluginError} naming the place in the file at which the compiler takes offence
 */
export async function compileKernels(
  compile: Compile,
  shape: CacheShape,
  files: readonly PluginFile[],
): Promise<void> {
  const context: PolicyContext = { ...shape, ...PROMPT, blockSize: BLOCK_ROWS };
  for (const { bundle, plugins } of files) {
    for (
      const step of plugins.flatMap((plugin) =>
        kernelsOf(plugin.kind === "policy" ? plugin.recipe.scorer : plugin, context)
      )
    ) {
      const fault = await compile(step);
      if (fault === null) continue;
      const place = new SourcePositions(bundle, "").ofText(step.code, fault.line, fault.column);
      throw new PluginError(`${place ?? `${bundle.file}, line ${fault.line} of the code of wgsl()`}: ${fault.message}`);
    }
  }
}

function kernelsOf(half: Scorer | string | { readonly kind: string }, context: PolicyContext): Wgsl[] {
  if (typeof half === "string" || half.kind !== "scorer") return [];
  const { score, options } = half as Scorer;
  try {
    return allSteps(score(context, options.parse({})) ?? []).filter((step) => step.name === "wgsl");
  } catch {
    // What is wrong with it is told to whoever asks for it.
    return [];
  }
}
