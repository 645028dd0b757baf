/** The page's way to the server and back, with the application behind a socket. */
import assert from "node:assert/strict";
import { type Answer, ask, type Asked } from "../../src/page/answer.ts";
import { sentenceOf, Server, ServerError } from "../../src/page/server.ts";
import { TOKEN } from "../support/fake_text.ts";
import { keys, startApp, until, withServer } from "../routes/harness.ts";

const ASKED: Asked = {
  prompt: "1234567",
  kvCache: { policy: "snapkv", budget: 32, report: "positions" },
  temperature: 0,
};
const TOKENS = [TOKEN.one, TOKEN.two, TOKEN.end];

/** What is told of an answer, change by change. */
async function changes(url: string, asked: Asked, signal = new AbortController().signal): Promise<Partial<Answer>[]> {
  const told: Partial<Answer>[] = [];
  await ask(new Server(`${url}/`), asked, signal, (change) => told.push(change));
  return told;
}

Deno.test("an answer tells its text, the prompt's tokens, and the positions that are kept", async () => {
  for (const prompt of [ASKED.prompt, [{ role: "user", content: "12" } as const]]) {
    await withServer(startApp({ tokens: TOKENS }), async (url) => {
      const answer: Partial<Answer> = Object.assign({}, ...await changes(url, { ...ASKED, prompt }));
      const { text, phase, tokens, usage, rows } = answer;
      assert.deepEqual([text!.trim(), phase], ["one two", "ended"]);
      assert.equal(tokens!.length, usage!.prompt_tokens);
      const cache = usage!.kv_cache!;
      assert.deepEqual(answer.cache!.positions, cache.positions);
      assert.deepEqual(rows, cache.rows_per_layer);
      assert.deepEqual(cache.positions.map(([list]) => list.length), cache.rows_per_layer);
    });
  }
});

Deno.test("rows and positions of the layers that have been read are told while the prompt is being read", async () => {
  const started = startApp({ tokens: TOKENS, hold: "prefill", reading: [7] });
  await withServer(started, async (url) => {
    const told: Partial<Answer>[] = [];
    const asking = ask(new Server(`${url}/`), ASKED, new AbortController().signal, (change) => told.push(change));
    await until(() => told.some(({ rows }) => rows?.length === 1), "rows of the first layer");
    assert.deepEqual(told.find(({ rows }) => rows !== undefined)!.positions, [[[0, 1, 2, 3, 4, 5, 6]]]);
    assert.ok(!told.some(({ phase }) => phase !== undefined));
    started.engine.generations[0].release();
    await asking;
    // The fake keeps a half and a quarter of the 8 rows of the prompt.
    assert.deepEqual(told.findLast(({ rows }) => rows !== undefined)!.rows, [4, 2]);
  });
});

Deno.test("rows and positions of all layers are told before the first token, not only when the answer ends", async () => {
  for (const prompt of [ASKED.prompt, [{ role: "user", content: "12" } as const]]) {
    const started = startApp({ tokens: TOKENS, hold: "decode", reading: [7] });
    await withServer(started, async (url) => {
      const told: Partial<Answer>[] = [];
      const asked = { ...ASKED, prompt };
      const asking = ask(new Server(`${url}/`), asked, new AbortController().signal, (change) => told.push(change));
      await until(() => told.some(({ text }) => text !== undefined), "the first token");
      const cache = told.findIndex(({ cache }) => cache !== undefined);
      assert.ok(cache >= 0 && cache < told.findIndex(({ text }) => text !== undefined), JSON.stringify(told));
      assert.equal(told[cache].phase, "answering");
      assert.deepEqual(told[cache].rows, told[cache].cache!.positions.map(([list]) => list.length));
      assert.ok(!told.some(({ usage }) => usage !== undefined));
      started.engine.generations[0].release();
      await asking;
    });
  }
});

Deno.test("an answer tells how fast the tokens behind the first ones came, where that took its time", async () => {
  const started = startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.hello, TOKEN.end], hold: "decode" });
  await withServer(started, async (url) => {
    const told: Partial<Answer>[] = [];
    const asking = ask(new Server(`${url}/`), ASKED, new AbortController().signal, (change) => told.push(change));
    await until(() => told.some(({ text }) => text !== undefined), "the first token");
    const [first] = told.flatMap(({ text }) => text ?? []);
    await new Promise((resolve) => setTimeout(resolve, 150));
    started.engine.generations[0].release();
    await asking;
    const { usage, tokensPerSecond }: Partial<Answer> = Object.assign({}, ...told);
    assert.deepEqual([first, usage!.completion_tokens], [" one", 4]);
    // Three in no less than that.
    assert.ok(tokensPerSecond! > 0 && tokensPerSecond! <= 3 / 0.149, String(tokensPerSecond));
  });
});

Deno.test("an answer comes from the model that is named, and so do its prompt's tokens", async () => {
  for (const prompt of [ASKED.prompt, [{ role: "user", content: "12" } as const]]) {
    const { app } = startApp({ tokens: TOKENS });
    const named: string[] = [];
    const listening = (request: Request) => {
      request.clone().json().then(({ model }) => named.push(model), () => {});
      return app.fetch(request);
    };
    await withServer({ app: { fetch: listening } as typeof app }, async (url) => {
      await changes(url, { ...ASKED, prompt, model: "fake-model" });
      assert.deepEqual(named, ["fake-model", "fake-model"]);
      const error = await changes(url, { ...ASKED, prompt, model: "another" }).catch((error) => error);
      assert.match(error.message, /'another' does not exist/);
    });
  }
});

Deno.test("an answer that is stopped stops the generation", async () => {
  const started = startApp({ tokens: TOKENS, hold: "decode" });
  await withServer(started, async (url) => {
    const controller = new AbortController();
    const asking = changes(url, ASKED, controller.signal);
    await until(() => started.engine.generations[0]?.phase === "decode", "decoding");
    controller.abort();
    const error = await asking.catch((error) => error);
    assert.equal(sentenceOf(error), null);
    await started.engine.idle();
    assert.deepEqual(started.engine.aborts, ["decode"]);
  });
});

Deno.test("what goes wrong is a sentence: refused fields, failures within a stream, wrong keys, a server that is gone", async () => {
  const sentence = async (url: string, asked: Asked) => sentenceOf(await changes(url, asked).catch((error) => error));
  let gone = "";
  await withServer(startApp({ tokens: TOKENS }), async (url) => {
    gone = url;
    assert.match((await sentence(url, { ...ASKED, kvCache: { budget: "lots" } }))!, /^Invalid kv_cache\.budget: .*\.$/);
  });
  assert.equal(await sentence(gone, ASKED), "The server cannot be reached. Is it still running?");
  await withServer(startApp({ tokens: [TOKEN.one], failure: "The device was lost" }), async (url) => {
    assert.equal(await sentence(url, ASKED), "The device was lost.");
  });
  await withServer(startApp({ tokens: TOKENS }, { apiKeys: keys("right") }), async (url) => {
    const kept = new Map<string, string>();
    const store = {
      getItem: (name: string) => kept.get(name) ?? null,
      setItem: (name: string, value: string) => void kept.set(name, value),
    };
    const server = new Server(`${url}/`, store);
    const refused = await server.json("v1/models").catch((error) => error);
    assert.ok(refused instanceof ServerError && refused.status === 401);
    server.useKey("right");
    assert.equal((await server.json<any>("v1/models")).data.length, 1);
    // A page that is loaded anew still has it.
    assert.equal((await new Server(`${url}/`, store).json<any>("v1/models")).data.length, 1);
  });
});
