import assert from "node:assert/strict";
import { EngineUnavailableError } from "../../src/contract/errors.ts";
import { type Clock, type MortalEngine, RestartingEngine } from "../../src/serving/restarting_engine.ts";
import { request } from "../support/engine.ts";
import { FakeEngine } from "../support/fake_engine.ts";

/** An engine that dies when it is told to. */
class Mortal extends FakeEngine implements MortalEngine {
  readonly #death = Promise.withResolvers<Error>();
  readonly failed = this.#death.promise;
  isClosed = false;

  constructor() {
    super({ script: () => ({ tokens: [1] }) });
  }

  die(reason: string): void {
    this.state = "failed";
    this.#death.resolve(new Error(reason));
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

/** A restarting engine whose time is in the test's hands; each start is too, until it is settled. */
function desk() {
  const engines = [new Mortal()];
  const starts: PromiseWithResolvers<MortalEngine>[] = [];
  const pauses: number[] = [];
  const lines: string[] = [];
  let now = 0;
  const clock: Clock = {
    now: () => now,
    pause: (milliseconds) => {
      pauses.push(milliseconds);
      return Promise.resolve();
    },
  };
  const start = () => {
    const next = Promise.withResolvers<MortalEngine>();
    starts.push(next);
    return next.promise;
  };
  const engine = new RestartingEngine(engines[0], start, (line) => lines.push(line), clock);
  return {
    engine,
    engines,
    starts,
    pauses,
    lines,
    pass: (milliseconds: number) => now += milliseconds,
    startNext() {
      engines.push(new Mortal());
      starts.at(-1)!.resolve(engines.at(-1)!);
    },
  };
}

/** Lets everything happen that waits for nothing else. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("an engine that dies is started again, and takes requests then", async () => {
  const { engine, engines, startNext, pauses, lines } = desk();
  assert.equal(engine.state, "ready");
  engines[0].die("The GPU device was lost");
  assert.equal(engine.state, "restarting");
  assert.throws(() => engine.generate(request([1])), EngineUnavailableError);
  await settle();
  assert.equal(engines[0].isClosed, true);
  assert.equal(engine.state, "restarting");
  startNext();
  await settle();
  assert.equal(engine.state, "ready");
  engine.generate(request([1]));
  assert.deepEqual(engines.map(({ generations }) => generations.length), [0, 1]);
  assert.deepEqual(pauses, []);
  assert.deepEqual(lines, [
    "The engine failed: The GPU device was lost; starting it again",
    "The engine runs again",
  ]);
});

Deno.test("an engine that dies again and again is given up, with the last reason, after longer and longer pauses", async () => {
  const { engine, engines, starts, startNext, pauses } = desk();
  let reason: Error | undefined;
  engine.failed.then((error) => reason = error);
  for (let life = 0; life < 3; life++) {
    engines.at(-1)!.die(`death ${life}`);
    await settle();
    if (life === 1) {
      starts.at(-1)!.reject(new Error("no memory"));
      await settle();
    }
    assert.equal(engine.state, life < 2 ? "restarting" : "failed");
    if (life < 2) startNext();
    await settle();
  }
  assert.deepEqual(pauses, [1000, 2000]);
  assert.equal(reason?.message, "death 2");
});

Deno.test("deaths that are long past do not count", async () => {
  const { engine, engines, startNext, pauses, pass } = desk();
  for (let life = 0; life < 10; life++) {
    engines.at(-1)!.die("again");
    await settle();
    startNext();
    await settle();
    pass(11 * 60_000);
  }
  assert.equal(engine.state, "ready");
  assert.deepEqual(pauses, []);
});

Deno.test("an engine that is closed while it is started again stays closed", async () => {
  const { engine, engines, startNext } = desk();
  engines[0].die("The GPU device was lost");
  await settle();
  await engine.close();
  startNext();
  await settle();
  assert.equal(engine.state, "draining");
  assert.equal(engines[1].isClosed, true);
});
