/** @file What is measured on the CPU, and how an engine is asked for it. */

/** A batch of equal prompts, and how many tokens are drawn behind each. */
export interface Case {
  readonly prompt: number;
  readonly streams: number;
  readonly tokens: number;
}

/** How long a case took, in seconds: until all first tokens were there, and from then until all last ones were. */
export interface Timing {
  readonly first: number;
  readonly rest: number;
}

/** An engine with a model loaded. */
export interface Contender {
  readonly name: string;
  /** From its start until it takes requests, in seconds. */
  readonly ready: number;
  /** Resident memory of its process that it accounts for, in bytes; undefined where it shares one. */
  readonly memory?: number;
  run(work: Case): Promise<Timing>;
  close(): Promise<void>;
}

/** The same tokens for every engine; `stream` tells the prompts of a batch apart. */
export function promptOf(length: number, stream: number): number[] {
  return Array.from({ length }, (_, i) => 5 + (i * 7919 + stream * 31) % 250);
}
