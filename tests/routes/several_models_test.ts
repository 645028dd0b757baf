/** @file Several models in one server, through the openai client; the engines play scripts. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { createApp } from "../../src/routes/app.ts";
import { listen } from "../../src/routes/listener.ts";
import { ModelKeeper } from "../../src/serving/models.ts";
import { FakeEngine } from "../support/fake_engine.ts";
import { byteTokens, fakeChatTemplate, fakeText, TOKEN } from "../support/fake_text.ts";
import { registry } from "../support/policies.ts";
import { until } from "./harness.ts";

interface Scene {
  readonly client: OpenAI;
  readonly url: string;
  /** The engines that were started, by id; each answers its own id. */
  readonly engines: Map<string, FakeEngine>;
  readonly started: FakeEngine[];
  readonly closed: string[];
}

/** A server of the models "one" (also "uno"), "two" and "broken", which cannot be loaded. */
async function withModels(mostLoaded: number, body: (scene: Scene) => Promise<void>): Promise<void> {
  const engines = new Map<string, FakeEngine>();
  const started: FakeEngine[] = [];
  const closed: string[] = [];
  const keeper = new ModelKeeper(
    ["one", "two", "broken"].map((id) => ({
      id,
      aliases: id === "one" ? ["uno"] : [],
      load() {
        if (id === "broken") return Promise.reject(new Error("/secret/path is no model"));
        const script = () => ({ tokens: [...byteTokens(id), TOKEN.end], hold: "decode" as const });
        const engine = new FakeEngine({ script, model: { id } });
        engines.set(id, engine);
        started.push(engine);
        return Promise.resolve({
          engine,
          text: fakeText,
          chatTemplate: fakeChatTemplate,
          failed: new Promise<Error>(() => {}),
          changePlugins: () => Promise.resolve(),
          close() {
            closed.push(id);
            return Promise.resolve();
          },
        });
      },
    })),
    mostLoaded,
    () => {},
  );
  const drain = new AbortController();
  const app = createApp({ models: keeper, options: { policies: registry, drain: drain.signal } });
  const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
  try {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
    await body({ client, url: server.url, engines, started, closed });
  } finally {
    drain.abort();
    for (const engine of started) engine.generations.forEach((generation) => generation.release());
    await server.finished;
    await keeper.close();
  }
}

const messages = [{ role: "user" as const, content: "Hi" }];

const taken = (started: readonly FakeEngine[], id: string) =>
  started.filter(({ model }) => model.id === id).reduce((sum, { generations }) => sum + generations.length, 0);

/** Asks a model; its engine is released once it has taken the request. */
async function ask({ client, engines, started }: Scene, model: string, id = model): Promise<string> {
  // All that were ever taken, for the model may be loaded anew.
  const before = taken(started, id);
  const answer = client.chat.completions.create({ model, messages });
  answer.catch(() => {});
  await until(() => taken(started, id) > before, `${id}'s being asked`);
  engines.get(id)!.generations.forEach((generation) => generation.release());
  const { model: answered, choices } = await answer;
  assert.equal(answered, id);
  return choices[0].message.content!;
}

Deno.test("each request is answered by the model that it names, requests to both at once", () =>
  withModels(2, async (scene) => {
    const { client, engines } = scene;
    const both = ["one", "two"].map((model) => client.chat.completions.create({ model, messages }));
    // Both are at work at the same time.
    await until(() => engines.size === 2 && [...engines.values()].every((e) => e.generations.length === 1), "both");
    for (const engine of engines.values()) engine.generations[0].release();
    const answers = await Promise.all(both);
    assert.deepEqual(answers.map(({ model, choices }) => [model, choices[0].message.content]), [
      ["one", "one"],
      ["two", "two"],
    ]);
    assert.equal(await ask(scene, "uno", "one"), "one");
  }));

Deno.test("all are listed with their state, loaded or not, and an unknown one's 404 names them", () =>
  withModels(2, async (scene) => {
    const { client } = scene;
    await ask(scene, "two");
    const { data } = await client.models.list();
    assert.deepEqual(data.map((model) => [model.id, (model as any).status.value, (model as any).max_model_len]), [
      ["one", "unloaded", undefined],
      ["two", "loaded", 256],
      ["broken", "unloaded", undefined],
    ]);
    assert.equal((await client.models.retrieve("uno")).id, "one");
    await assert.rejects(client.chat.completions.create({ model: "three", messages }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      assert.match(error.message, /'three' does not exist; this server serves 'one', 'two', 'broken'/);
      return true;
    });
  }));

Deno.test("a model that another makes room for finishes its stream first", () =>
  withModels(1, async (scene) => {
    const { client, engines, closed } = scene;
    const stream = await client.chat.completions.create({ model: "one", messages, stream: true });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    const other = ask(scene, "two");
    // It waits, and the first one goes on.
    await until(() => engines.get("one")!.generations[0].phase === "decode", "the stream's decoding");
    assert.deepEqual(closed, []);
    assert.ok(!engines.has("two"));
    engines.get("one")!.generations[0].release();
    let text = "";
    for (let piece = await pieces.next(); !piece.done; piece = await pieces.next()) {
      text += piece.value.choices[0]?.delta.content ?? "";
    }
    assert.equal(text, "one");
    assert.equal(await other, "two");
    assert.deepEqual(closed, ["one"]);
  }));

Deno.test("a model that cannot be loaded costs its own requests alone, and its cause is the log's", () =>
  withModels(2, async (scene) => {
    const { client, url } = scene;
    await assert.rejects(client.chat.completions.create({ model: "broken", messages }), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError);
      assert.deepEqual([error.status, error.code], [503, "model_load_failed"]);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
    assert.equal(await ask(scene, "one"), "one");
    assert.deepEqual(await (await fetch(`${url}/health`)).json(), { status: "ok", device: "a fake" });
  }));

Deno.test("a client that goes while its model is loading lets go of it", () =>
  withModels(1, async (scene) => {
    const { client, engines } = scene;
    const stream = await client.chat.completions.create({ model: "one", messages, stream: true });
    const gone = new AbortController();
    const waiting = client.chat.completions.create({ model: "two", messages }, { signal: gone.signal });
    waiting.catch(() => {});
    // Its request has come, and waits for "one" to make room.
    for (let state = ""; state !== "unloading";) state = (await client.models.retrieve("one") as any).status.value;
    gone.abort();
    await assert.rejects(waiting, OpenAI.APIUserAbortError);
    engines.get("one")!.generations[0].release();
    for await (const _ of stream);
    // Were "two" still held, it could not make room.
    assert.equal(await ask(scene, "one"), "one");
  }));

Deno.test("metrics name their model, and each family has its head once", () =>
  withModels(2, async (scene) => {
    await ask(scene, "one");
    await ask(scene, "two");
    const text = await (await fetch(`${scene.url}/metrics`)).text();
    for (const id of ["one", "two"]) {
      assert.ok(text.includes(`ebb_num_requests_running{model_name="${id}"} 2\n`), text);
      assert.ok(text.includes(`ebb_request_success_total{finished_reason="stop",model_name="${id}"} 1\n`), text);
      assert.match(text, new RegExp(`ebb_http_requests_total\\{[^}]*model_name="${id}"[^}]*\\} 1\\n`));
    }
    const heads = [...text.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name);
    assert.equal(new Set(heads).size, heads.length);
  }));
