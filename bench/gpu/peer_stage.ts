/** @file Stage: PyTorch and llama.cpp on the same card, as far as they are there, at the same lengths and counts. */
import { type ProcessOutcome, runProcess } from "./process.ts";
import type { PeerResults, PeerRun } from "./results.ts";
import type { Lengths } from "./shapes.ts";
import { SHAPES } from "./shapes.ts";

export interface PeerStage {
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly shape: string;
  readonly lengths: Lengths;
  /** Tokens of the prompts that Ebb decoded behind. */
  readonly decodePrompts: readonly number[];
  readonly modelPath: string;
  /** Holds node-llama-cpp. */
  readonly directory?: string;
  /** Whether peers are to run although there is no GPU. */
  readonly cpu: boolean;
  readonly report: (results: PeerResults) => void;
  readonly progress: (line: string) => void;
}

type Peer = PeerResults["peers"][number];

/** A way to start a peer; the next one is tried where this one says nothing. */
interface Launch {
  readonly command: string;
  readonly args: readonly string[];
}

/** Of the stage's time, while llama.cpp waits. */
const TORCH_SHARE = 0.65;

/** Runs the peers one after the other: each wants the card for itself. */
export async function runPeers(stage: PeerStage): Promise<ProcessOutcome> {
  const begun = performance.now();
  const remaining = () => stage.seconds - (performance.now() - begun) / 1000;
  const { lengths, directory } = stage;
  const task = (seconds: number) =>
    JSON.stringify({
      shape: SHAPES[stage.shape],
      vocabulary: SHAPES[stage.shape].vocabulary,
      model: stage.modelPath,
      prompts: lengths.prompts,
      decodePrompts: stage.decodePrompts,
      streams: lengths.streams,
      decodeTokens: lengths.decodeTokens,
      seconds,
      cpu: stage.cpu,
    });
  const peers: Peer[] = [];
  const add = async (name: string, seconds: number, launches: readonly Launch[]) => {
    const at = peers.length;
    const update = (peer: Peer) => {
      peers[at] = peer;
      stage.report({ peers });
    };
    await runPeer(stage, name, seconds, launches, update);
  };

  const torch = directory === undefined ? 1 : TORCH_SHARE;
  if (await hasTorch(stage.signal)) {
    const seconds = torch * remaining();
    await add("PyTorch", seconds, [{ command: "python3", args: [script("torch_llama.py"), task(seconds)] }]);
  } else {
    peers.push({ name: "PyTorch", status: "missing", error: "python3 has no torch", runs: [] });
    stage.report({ peers });
  }
  if (directory === undefined) {
    peers.push({ name: "llama.cpp", status: "missing", error: "--peers names no directory", runs: [] });
    stage.report({ peers });
  } else {
    const seconds = remaining();
    const args = [script("llama_cpp.mjs"), directory, task(seconds)];
    await add("llama.cpp", seconds, [
      { command: "node", args },
      { command: Deno.execPath(), args: ["run", "-A", "--no-config", "--node-modules-dir=manual", ...args] },
    ]);
  }
  return stage.signal.aborted ? { status: "interrupted" } : { status: "done" };
}

async function runPeer(
  { signal, progress }: PeerStage,
  name: string,
  seconds: number,
  launches: readonly Launch[],
  update: (peer: Peer) => void,
): Promise<void> {
  const begun = performance.now();
  let peer: Peer = { name, status: "failed", runs: [] };
  for (const { command, args } of launches) {
    const left = seconds - (performance.now() - begun) / 1000;
    const notes: string[] = [];
    const outcome = await runProcess({
      command,
      args,
      seconds: left,
      signal,
      onLine: (line) => {
        const said = parse(line);
        if (said?.versions) peer = { ...peer, versions: said.versions };
        if (said?.note) notes.push(said.note);
        if (said?.run) {
          peer = { ...peer, runs: [...peer.runs, said.run] };
          const { mode, kind, streams, promptTokens, tokensPerSecond } = said.run;
          progress(`${name} ${mode}, ${kind}, ${streams} x ${promptTokens}: ${tokensPerSecond.toFixed(1)} tokens/s`);
        }
        update(peer);
      },
    });
    const error = [outcome.error, ...notes].filter((text) => text !== undefined).join("; ");
    peer = {
      ...peer,
      status: outcome.status === "interrupted" ? "failed" : outcome.status,
      error: error === "" ? undefined : error,
    };
    update(peer);
    if (peer.error) progress(`${name}: ${peer.error.split("\n").at(-1)}`);
    if (peer.versions !== undefined || outcome.status !== "failed") return;
  }
}

interface PeerLine {
  readonly versions?: Readonly<Record<string, string>>;
  readonly run?: PeerRun;
  readonly note?: string;
}

function parse(line: string): PeerLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Looks for the module without loading it, which takes seconds. */
async function hasTorch(signal: AbortSignal): Promise<boolean> {
  const find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)";
  const { status } = await runProcess({
    command: "python3",
    args: ["-c", find],
    seconds: 20,
    signal,
    onLine: () => {},
  });
  return status === "done";
}

function script(name: string): string {
  return new URL(`peers/${name}`, import.meta.url).pathname;
}
