/** @file What the sandbox is asked, and how its answers come back: through shared memory, for whoever asks stands still until then. */
import { deserialize, serialize } from "node:v8";
import type { LayerContext, PolicyContext } from "../context.ts";
import type { PluginBundle } from "../loading/plugin_bundle.ts";
import type { AllocatorContext, LayerScores } from "../policy.ts";
import type { HostInputs } from "../steps/step_rules.ts";

type Options = Readonly<Record<string, unknown>>;

/** A question. `half` is a scorer or an allocator by its place in the {@link PluginDescription}. */
export type Question =
  | { readonly type: "describe" }
  | { readonly type: "parse"; readonly half: number; readonly option: string; readonly value: unknown }
  | { readonly type: "score"; readonly half: number; readonly context: PolicyContext; readonly options: Options }
  | {
    readonly type: "host";
    readonly half: number;
    readonly context: PolicyContext;
    readonly options: Options;
    /** Which function of the score's steps. */
    readonly call: number;
    readonly given: readonly [HostInputs | HostInputs["queryStatistics"], LayerContext];
  }
  | { readonly type: "schedule"; readonly half: number; readonly context: AllocatorContext; readonly options: Options }
  | {
    readonly type: "allot";
    readonly half: number;
    readonly context: AllocatorContext;
    readonly options: Options;
    readonly layers: readonly LayerScores[];
  };

/** What a sandbox is started with. */
export interface SandboxStart {
  readonly bundle: PluginBundle;
  readonly memory: SharedMemory;
}

/** A half of a policy, as data. */
export interface HalfDescription {
  readonly kind: "scorer" | "allocator";
  readonly name: string;
  readonly description: string;
  readonly perHead: boolean;
  readonly options: Readonly<Record<string, OptionDescription>>;
}

export interface OptionDescription {
  readonly jsonSchema: Readonly<Record<string, unknown>>;
  /** Whether a request must give it. */
  readonly isRequired: boolean;
}

/** The plugins of a file, as data. Halves are named by their places, and those of Ebb's own by their names. */
export interface PluginDescription {
  readonly halves: readonly HalfDescription[];
  readonly plugins: readonly (
    | { readonly kind: "scorer" | "allocator"; readonly half: number }
    | {
      readonly kind: "policy";
      readonly name: string;
      readonly description: string;
      readonly scorer: number | string;
      readonly allocator: number | string;
      readonly defaults: Options;
      readonly ownScore: boolean;
    }
  )[];
}

/** An answer, or what the plugin threw. */
export type Answer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

/** Memory of both threads: two numbers, the state and the length of an answer, and the answer itself. */
export interface SharedMemory {
  readonly state: SharedArrayBuffer;
  readonly answer: SharedArrayBuffer;
}

export const STARTING = 0;
export const READY = 1;
export const ASKED = 2;
export const ANSWERED = 3;

/** Most bytes of an answer: the scores of a long prompt. */
const MOST_BYTES = 2 ** 28;

export function sharedMemory(): SharedMemory {
  return { state: new SharedArrayBuffer(8), answer: new SharedArrayBuffer(2 ** 16, { maxByteLength: MOST_BYTES }) };
}

/** Puts an answer where {@link takeAnswer} finds it, and wakes whoever waits. */
export function giveAnswer({ state, answer }: SharedMemory, given: Answer): void {
  const bytes = serialize(given);
  if (bytes.length > answer.byteLength) answer.grow(Math.min(MOST_BYTES, bytes.length));
  new Uint8Array(answer).set(bytes);
  const numbers = new Int32Array(state);
  numbers[1] = bytes.length;
  Atomics.store(numbers, 0, ANSWERED);
  Atomics.notify(numbers, 0);
}

export function takeAnswer({ state, answer }: SharedMemory): Answer {
  const length = new Int32Array(state)[1];
  return deserialize(new Uint8Array(answer, 0, length).slice());
}
