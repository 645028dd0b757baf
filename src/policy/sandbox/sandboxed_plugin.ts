/** @file The plugins of a file as they are in this thread when the file itself is in a sandbox: every function asks there. */
import { z } from "zod";
import { policyOf } from "../define.ts";
import type { PluginBundle } from "../loading/plugin_bundle.ts";
import type { Allocator, Schedule, Scorer } from "../policy.ts";
import type { AnyPlugin, PluginFile } from "../registry.ts";
import { uniformAllocator } from "../uniform.ts";
import type { HalfDescription, PluginDescription } from "./messages.ts";
import { Sandbox } from "./sandbox.ts";
import { withFunctions } from "../step_functions.ts";

/** Evaluates a file in a sandbox of its own. @throws {PluginError} as {@link evaluatePlugin} */
export function sandboxPlugin(bundle: PluginBundle): PluginFile {
  const sandbox = new Sandbox(bundle);
  try {
    const { halves, plugins } = sandbox.ask({ type: "describe" }) as PluginDescription;
    const made = halves.map((half, place) =>
      half.kind === "scorer" ? scorerOf(sandbox, half, place) : allocatorOf(sandbox, half, place)
    );
    const halfAt = (place: number | string) =>
      typeof place === "number" ? made[place] : place === uniformAllocator.name ? uniformAllocator : place;
    return {
      bundle,
      close: () => sandbox.close(),
      plugins: plugins.map((plugin): AnyPlugin => {
        if (plugin.kind !== "policy") return made[plugin.half];
        const { kind: _, scorer, allocator, ...recipe } = plugin;
        return policyOf({
          ...recipe,
          scorer: halfAt(scorer) as Scorer | string,
          allocator: halfAt(allocator) as Allocator | string,
        });
      }),
    };
  } catch (error) {
    sandbox.close();
    throw error;
  }
}

function scorerOf(sandbox: Sandbox, half: HalfDescription, place: number): Scorer {
  const { name, description } = half;
  return {
    kind: "scorer",
    name,
    description,
    options: optionsOf(sandbox, half, place),
    score(context, options) {
      const question = { half: place, context, options };
      const asData = sandbox.ask({ type: "score", ...question });
      if (asData === null) return null;
      return withFunctions(asData, (call, given) => {
        const [inputs, layerContext] = given as never[];
        return sandbox.ask({ type: "host", ...question, call, given: [inputs, layerContext] });
      });
    },
  };
}

function allocatorOf(sandbox: Sandbox, half: HalfDescription, place: number): Allocator {
  const { name, description, perHead } = half;
  return {
    kind: "allocator",
    name,
    description,
    perHead,
    options: optionsOf(sandbox, half, place),
    schedule: (context, options) => sandbox.ask({ type: "schedule", half: place, context, options }) as Schedule,
    allot: (layers, context, options) =>
      sandbox.ask({ type: "allot", half: place, context, options, layers }) as ArrayLike<number>,
  };
}

/** Options that the sandbox looks at one by one; their defaults are filled in there, too. */
function optionsOf(sandbox: Sandbox, { options }: HalfDescription, place: number): z.ZodObject {
  return z.strictObject(Object.fromEntries(
    Object.entries(options).map(([option, { jsonSchema, isRequired }]) => {
      const value = z.any().superRefine((value, issues) => {
        const fault = sandbox.ask({ type: "parse", half: place, option, value }) as string | null;
        if (fault !== null) issues.addIssue({ code: "custom", message: fault });
      });
      return [option, (isRequired ? value : value.optional()).meta(jsonSchema)];
    }),
  ));
}
