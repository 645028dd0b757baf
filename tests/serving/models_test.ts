import assert from "node:assert/strict";
import { type Lease, ModelKeeper, ModelLoadError, type ModelSource } from "../../src/serving/models.ts";
import type { RunningEngine } from "../../src/serving/start_engine.ts";
import { FakeEngine } from "../support/fake_engine.ts";
import { fakeChatTemplate, fakeText } from "../support/fake_text.ts";

/** Sources that note in `events` when they are loaded and closed. */
function stage(...ids: string[]) {
  const events: string[] = [];
  const dies = new Map<string, (reason: Error) => void>();
  let failing: string | undefined;
  const sources = ids.map((id, i): ModelSource => ({
    id,
    aliases: i === 0 ? ["first"] : [],
    load(): Promise<RunningEngine> {
      events.push(`load ${id}`);
      if (failing === id) return Promise.reject(new Error("no such file"));
      const { promise: failed, resolve } = Promise.withResolvers<Error>();
      dies.set(id, resolve);
      return Promise.resolve({
        engine: new FakeEngine({ script: () => ({ tokens: [] }), model: { id } }),
        text: fakeText,
        chatTemplate: fakeChatTemplate,
        failed,
        changePlugins: () => Promise.resolve(),
        close() {
          events.push(`close ${id}`);
          return Promise.resolve();
        },
      });
    },
  }));
  return {
    sources,
    events,
    die: (id: string) => dies.get(id)!(new Error("gone")),
    fail: (id?: string) => failing = id,
  };
}

/** Lets all that can happen now happen. */
const settle = () => new Promise((resolve) => setTimeout(resolve));
const states = (keeper: ModelKeeper) => keeper.list().map(({ state }) => state).join(" ");
const silent = () => {};

Deno.test("models are loaded when they are first asked for, once for all who ask", async () => {
  const { sources, events } = stage("a", "b");
  const keeper = new ModelKeeper(sources, 2, silent);
  assert.equal(states(keeper), "unloaded unloaded");
  const leases = await Promise.all([keeper.use("b"), keeper.use("b"), keeper.use("b")]);
  assert.deepEqual(events, ["load b"]);
  assert.ok(leases.every(({ id, model }) => id === "b" && model.engine.model.id === "b"));
  assert.equal(states(keeper), "unloaded loaded");
  await keeper.close();
  assert.deepEqual(events, ["load b", "close b"]);
});

Deno.test("names are ids and aliases; no name is the first model", () => {
  const keeper = new ModelKeeper(stage("a", "b").sources, 2, silent);
  assert.deepEqual(["a", "b", "first", undefined, null, "c"].map((name) => keeper.idOf(name)), [
    ...["a", "b", "a", "a", "a"],
    undefined,
  ]);
});

Deno.test("the model that was not used for longest makes room", async () => {
  const { sources, events } = stage("a", "b", "c");
  const keeper = new ModelKeeper(sources, 2, silent);
  for (const id of ["a", "b", "a", "c"]) (await keeper.use(id)).release();
  assert.deepEqual(events, ["load a", "load b", "close b", "load c"]);
  assert.equal(states(keeper), "loaded unloaded loaded");
  // What it was stays known.
  assert.equal(keeper.list()[1].described?.model.id, "b");
  await keeper.close();
});

Deno.test("one that nobody holds goes before one that was used before it, and is held", async () => {
  const { sources, events } = stage("a", "b", "c");
  const keeper = new ModelKeeper(sources, 2, silent);
  const held = await keeper.use("a");
  (await keeper.use("b")).release();
  await keeper.use("c");
  assert.deepEqual(events, ["load a", "load b", "close b", "load c"]);
  held.release();
  await keeper.close();
});

Deno.test("a model is not closed while somebody holds it; those who ask for it meanwhile wait for it to come again", async () => {
  const { sources, events } = stage("a", "b");
  const keeper = new ModelKeeper(sources, 1, silent);
  const held = [await keeper.use("a"), await keeper.use("a")];
  const other = keeper.use("b");
  await settle();
  assert.equal(states(keeper), "unloading unloaded");
  const again = keeper.use("a");
  held[0].release();
  held[0].release();
  await settle();
  assert.deepEqual(events, ["load a"]);
  held[1].release();
  const { id, release } = await other;
  assert.deepEqual([id, ...events], ["b", "load a", "close a", "load b"]);
  await settle();
  release();
  assert.equal((await again).id, "a");
  assert.deepEqual(events.slice(3), ["close b", "load a"]);
  await keeper.close();
});

Deno.test("by turns, two models with room for one both serve all who wait", async () => {
  const { sources } = stage("a", "b");
  const keeper = new ModelKeeper(sources, 1, silent);
  const served: string[] = [];
  await Promise.all(Array.from({ length: 20 }, async (_, i) => {
    const lease: Lease = await keeper.use(i % 2 === 0 ? "a" : "b");
    served.push(lease.id);
    await settle();
    lease.release();
  }));
  assert.equal(served.filter((id) => id === "a").length, 10);
  assert.equal(served.length, 20);
  await keeper.close();
});

Deno.test("a model that cannot be loaded costs those who asked for it, and is tried again", async () => {
  const { sources, fail } = stage("a", "b");
  const lines: string[] = [];
  const keeper = new ModelKeeper(sources, 2, (line) => lines.push(line));
  fail("a");
  const asked = [keeper.use("a"), keeper.use("a")];
  for (const one of asked) await assert.rejects(one, ModelLoadError);
  assert.deepEqual(lines, ["The model a could not be loaded: no such file"]);
  assert.equal((await keeper.use("b")).id, "b");
  assert.equal(states(keeper), "failed loaded");
  fail(undefined);
  assert.equal((await keeper.use("a")).id, "a");
  await keeper.close();
});

Deno.test("an engine that died once too often is loaded anew when it is asked for again", async () => {
  const { sources, events, die } = stage("a", "b");
  const keeper = new ModelKeeper(sources, 2, silent);
  await keeper.use("b");
  await keeper.use("a");
  die("a");
  await settle();
  assert.equal(states(keeper), "failed loaded");
  assert.equal((await keeper.use("a")).id, "a");
  assert.deepEqual(events, ["load b", "load a", "close a", "load a"]);
  await keeper.close();
});

Deno.test("closing refuses those who wait, and those who come", async () => {
  const { sources } = stage("a", "b");
  const keeper = new ModelKeeper(sources, 1, silent);
  await keeper.use("a");
  const waiting = keeper.use("b");
  waiting.catch(silent);
  await settle();
  await keeper.close();
  await assert.rejects(waiting, /shutting down/);
  await assert.rejects(keeper.use("a"), /shutting down/);
});
