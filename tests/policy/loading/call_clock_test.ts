import assert from "node:assert/strict";
import { CallClock } from "../../../src/policy/loading/call_clock.ts";

/** A clock of which both times are set by hand. */
function manual() {
  const now = { passed: 0, computed: 0, looks: 0 };
  const clock = new CallClock({
    passed: () => now.passed,
    computed: () => {
      now.looks++;
      return now.computed;
    },
  });
  /** What a loop does that takes so long in all. */
  const loop = (passed: number, computed: number, steps = 100) => {
    for (let step = 0; step < steps; step++) {
      now.passed += passed / steps;
      now.computed += computed / steps;
      for (let i = 0; i < 256; i++) clock.tick();
    }
  };
  return { now, clock, loop };
}

Deno.test("a call that hardly gets to compute may take as long as the machine lets it", () => {
  const { clock, loop, now } = manual();
  assert.equal(clock.within(1000, "allot()", () => (loop(60_000, 900, 10_000), "done")), "done");
  assert.equal(clock.within(1000, "allot()", () => (loop(900, 900), "done")), "done");
  assert.ok(now.looks < 200, `it looked ${now.looks} times`);
});

Deno.test("a loop without an end is ended once it has computed for its time, at most twice", () => {
  for (const share of [1, 0.5, 0.01]) {
    const { clock, loop, now } = manual();
    assert.throws(
      () => clock.within(1000, "allot()", () => loop(4e5, 4e5 * share, 40_000)),
      /^Error: allot\(\) computed for longer than 1000 ms$/,
    );
    assert.ok(now.computed >= 1000 && now.computed <= 2020, `${share}: ${now.computed}`);
  }
});

Deno.test("a call without loops that takes long is measured from the second time on", () => {
  const { clock, now } = manual();
  const idle = () => void (now.passed += 5000);
  const busy = () => [now.passed, now.computed] = [now.passed + 5000, now.computed + 5000];
  clock.within(1000, "score()", idle);
  clock.within(1000, "score()", idle);
  clock.within(1000, "score()", busy);
  assert.throws(() => clock.within(1000, "score()", busy), /score\(\) computed for longer than 1000 ms/);
});

Deno.test("what a call throws is thrown, and an earlier call does not count for a later one", () => {
  const { clock, loop } = manual();
  assert.throws(() =>
    clock.within(1000, "f()", () => {
      throw new Error("Mine");
    }), /^Error: Mine$/);
  for (let call = 0; call < 5; call++) clock.within(1000, "f()", () => loop(900, 900));
});
