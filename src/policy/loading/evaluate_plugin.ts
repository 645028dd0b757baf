/** @file From a bundle to the plugins that it defines, in whichever thread needs them. */
import * as api from "../mod.ts";
import type { AnyPlugin, PluginFile } from "../registry.ts";
import { TICK } from "./tick.ts";
import { CallClock } from "./call_clock.ts";
import { guardedPlugins } from "./guarded_plugin.ts";
import { type PluginBundle, PluginError } from "./plugin_bundle.ts";
import { SourcePositions } from "./source_positions.ts";

/** How long the top of a file may run. */
const EVALUATION_MILLISECONDS = 5000;

/** By another name, so that what is evaluated sees nothing of this module. The sandbox takes it away from others. */
const evaluate = globalThis.eval;

let evaluated = 0;

/**
 * Evaluates a bundle. Its functions say, when they throw, where in the user's file, and take no longer than they may.
 *
 * @throws {PluginError} when it throws, or exports no plugins
 */
export function evaluatePlugin(bundle: PluginBundle): PluginFile {
  const url = `ebb-plugin:${evaluated++}`;
  const positions = new SourcePositions(bundle, url);
  const clock = new CallClock();
  const exported = clock.within(EVALUATION_MILLISECONDS, bundle.file, () => exportsOf(bundle, url, positions, clock));
  const plugins = (Array.isArray(exported) ? exported : [exported]) as AnyPlugin[];
  const strange = plugins.findIndex((plugin) => !["policy", "scorer", "allocator"].includes(plugin?.kind));
  if (strange >= 0 || plugins.length === 0) {
    const what = plugins.length === 0 ? "an empty array" : Array.isArray(exported) ? `entry ${strange} of it` : "it";
    throw new PluginError(
      `${bundle.file} must export as its default what definePolicy, defineScorer or defineAllocator returns, or an array of ` +
        `such, but ${
          what === "it" ? `exports ${exported === undefined ? "no default" : "something else"}` : `${what} is none`
        }`,
    );
  }
  return { bundle, plugins: guardedPlugins(plugins, positions, clock) };
}

function exportsOf(
  { file, code }: PluginBundle,
  url: string,
  positions: SourcePositions,
  { tick }: CallClock,
): unknown {
  const module: { exports: { default?: unknown } } = { exports: {} };
  try {
    const define = evaluate(`(function (require, module, exports, ${TICK}) {${code}\n})\n//# sourceURL=${url}`);
    define(requirePolicy, module, module.exports, tick);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new PluginError(`${positions.ofError(error) ?? file}: ${message}`);
  }
  return module.exports.default;
}

/** A name that does not exist is undefined where it is used, whose error says little. */
const POLICY_MODULE = new Proxy({ ...api } as Record<PropertyKey, unknown>, {
  get(names, name) {
    if (typeof name === "symbol" || name === "__esModule" || name in names) return names[name];
    throw new TypeError(`"ebb/policy" exports no "${name}"`);
  },
});

function requirePolicy(name: string): unknown {
  if (name === "ebb/policy") return POLICY_MODULE;
  throw new TypeError(`A plugin cannot import "${name}"`);
}
