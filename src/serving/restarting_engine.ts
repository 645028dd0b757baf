/**
 * @file An engine that is started again when it dies: its thread crashed, its device was lost, or the device had no memory left.
 *
 *     ready --dies--> restarting --starts--> ready
 *                         |  dies or does not start, too often
 *                         `--> failed, for a supervisor to start the process again
 *
 * What ran when it died fails; those who ask meanwhile are told to come again.
 */
import type { Engine, EngineStats } from "../contract/engine.ts";
import { EngineUnavailableError } from "../contract/errors.ts";
import type { Generation, GenerationRequest } from "../contract/generation.ts";

/** An engine that can die. */
export interface MortalEngine extends Engine {
  /** Resolves with the reason when it dies. */
  readonly failed: Promise<Error>;
  /** Gives back what it had. Idempotent, and for dead ones too. */
  close(): Promise<void>;
}

/** So many deaths and failed starts within the window, and it is given up. */
const MOST_FAILURES = 4;
const WINDOW_MILLISECONDS = 10 * 60_000;
/** Before the second start in a row; doubled before each one that follows. */
const FIRST_PAUSE = 1000;

/** What tests put in place of the time. */
export interface Clock {
  now(): number;
  pause(milliseconds: number): Promise<void>;
}

const CLOCK: Clock = {
  now: () => performance.now(),
  pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

/** An engine that outlives its thread. */
export class RestartingEngine implements MortalEngine {
  readonly model;
  readonly device;
  readonly defaultKvCache;
  readonly maxSequences;
  readonly failed: Promise<Error>;
  #giveUp: (reason: Error) => void = () => {};
  #engine: MortalEngine;
  #state: "running" | "restarting" | "failed" | "closed" = "running";
  /** When it died or did not start. */
  #failures: number[] = [];

  /**
   * @param engine the first one, already started
   * @param start starts another one like it
   * @param log takes a line for people
   */
  constructor(
    engine: MortalEngine,
    readonly start: () => Promise<MortalEngine>,
    readonly log: (line: string) => void,
    readonly clock: Clock = CLOCK,
  ) {
    ({ model: this.model, device: this.device, defaultKvCache: this.defaultKvCache, maxSequences: this.maxSequences } =
      engine);
    this.failed = new Promise((resolve) => this.#giveUp = resolve);
    this.#engine = engine;
    this.#watch(engine);
  }

  get state(): Engine["state"] {
    if (this.#state === "closed") return "draining";
    // It notices its death before this does.
    if (this.#state === "running") return this.#engine.state === "failed" ? "restarting" : this.#engine.state;
    return this.#state;
  }

  fittingTokens(request: GenerationRequest): number {
    return this.#engine.fittingTokens(request);
  }

  generate(request: GenerationRequest): Generation {
    if (this.state !== "ready") throw new EngineUnavailableError(`The engine is ${this.state}`);
    return this.#engine.generate(request);
  }

  stats(): Promise<EngineStats> {
    return this.#engine.stats();
  }

  async close(): Promise<void> {
    this.#state = "closed";
    await this.#engine.close();
  }

  async #watch(engine: MortalEngine): Promise<void> {
    const reason = await engine.failed;
    if (this.#state === "closed") return;
    this.#state = "restarting";
    await this.#restart(engine, reason);
  }

  async #restart(dead: MortalEngine, cause: Error): Promise<void> {
    // Its thread holds memory of the device, which the next one needs.
    await dead.close();
    for (let reason = cause; !this.#isClosed();) {
      if (this.#isOnceTooOften()) {
        this.#state = "failed";
        this.#giveUp(reason);
        return;
      }
      this.log(`The engine failed: ${reason.message}; starting it again`);
      if (this.#failures.length > 1) await this.clock.pause(FIRST_PAUSE * 2 ** (this.#failures.length - 2));
      try {
        const engine = await this.start();
        // Closed while it started.
        if (this.#isClosed()) return void await engine.close();
        this.#engine = engine;
        this.#state = "running";
        this.log("The engine runs again");
        this.#watch(engine);
        return;
      } catch (error) {
        reason = error as Error;
      }
    }
  }

  /** Asked anew after every wait. */
  #isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Counts a failure. */
  #isOnceTooOften(): boolean {
    const now = this.clock.now();
    this.#failures = [...this.#failures.filter((at) => now - at < WINDOW_MILLISECONDS), now];
    return this.#failures.length >= MOST_FAILURES;
  }
}
