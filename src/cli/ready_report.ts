/** @file What a server says of itself when it takes requests: a few lines for people. */
import type { Engine, EngineStats } from "../contract/engine.ts";
import { formatBytes, formatCount } from "./units.ts";

/** How clients reach the server. */
export interface Address {
  /** As the line on standard output has it. */
  readonly url: string;
  /** The Unix socket, if it listens on one. */
  readonly socket?: string;
  /** Whether a key is asked for. */
  readonly hasKeys: boolean;
}

/** Model, device, memory, policy, and a command that asks it something. */
export function readyReport(
  { model, device, defaultKvCache: { policy, budget, decodeInterval } }: Engine,
  { blocksTotal, blockBytes }: Pick<EngineStats, "blocksTotal" | "blockBytes">,
  address: Address,
): string[] {
  const unit = typeof budget === "number" ? " rows per layer" : " of the prompt's rows";
  const meanwhile = decodeInterval === undefined ? "" : `, again after every ${decodeInterval} tokens generated`;
  return [
    [
      "model",
      `${model.id}: ${model.architecture}, ${formatCount(model.parameterCount)} parameters, ` +
      `${model.quantisation}, ${formatBytes(model.weightBytes)}`,
    ],
    ["device", device],
    ["context", `${formatCount(model.contextLength)} tokens`],
    [
      "KV cache",
      `${policy === "full" ? "full" : `${policy}, ${budget}${unit}${meanwhile}`}; ` +
      `${formatBytes(blocksTotal * blockBytes)} for all requests`,
    ],
    ["try", curl(address)],
  ].map(([name, what]) => `${name.padEnd(8)}  ${what}`);
}

/** A command that asks the server something. */
function curl({ url, socket, hasKeys }: Address): string {
  const key = hasKeys ? ' -H "authorization: Bearer $EBB_API_KEY"' : "";
  const path = "/v1/chat/completions";
  // An address that stands for all of them can be listened on, but not everywhere be called.
  const reachable = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  const target = socket === undefined ? `${reachable}${path}` : `--unix-socket '${socket}' http://localhost${path}`;
  return `curl ${target}${key} -H "content-type: application/json" ` +
    `-d '{"messages": [{"role": "user", "content": "Hello! Who are you?"}]}'`;
}
