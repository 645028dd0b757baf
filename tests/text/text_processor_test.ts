import assert from "node:assert/strict";
import { openModel } from "../../src/formats/open.ts";
import { createTextProcessor } from "../../src/text/text_processor.ts";
import { isMissing, STORIES_MODEL } from "../support/tokenizers.ts";

const LONG_TEXT = "Once upon a time, there was a 😀 dragon.\n".repeat(2500);

Deno.test({
  name: "A long text gets the same tokens from the worker as in place, while timers go on",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const tokens = await processor.encode(LONG_TEXT);
    clearInterval(timer);
    assert.deepEqual(tokens, processor.tokenizer.encode(LONG_TEXT));
    assert.ok(ticks > 0);
    assert.deepEqual(await processor.encode("Once"), processor.tokenizer.encode("Once"));
    processor.close();
  },
});

Deno.test({
  name: "Options reach the worker, and several long texts at once come back in their own places",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    const text = "<s>" + LONG_TEXT;
    const options = [{ addSpecial: false }, { parseSpecial: false }, {}];
    const results = await Promise.all(options.map((option) => processor.encode(text, option)));
    options.forEach((option, i) => assert.deepEqual(results[i], processor.tokenizer.encode(text, option)));
    processor.close();
  },
});

Deno.test({
  name: "Closing rejects what is under way, and a process ends by itself with an idle worker",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    const encoding = processor.encode(LONG_TEXT);
    await Promise.resolve();
    processor.close();
    await assert.rejects(encoding, /text processor was closed/);

    const script = `
      import { openModel } from ${JSON.stringify(new URL("../../src/formats/open.ts", import.meta.url).href)};
      import { createTextProcessor } from ${
      JSON.stringify(new URL("../../src/text/text_processor.ts", import.meta.url).href)
    };
      const processor = await createTextProcessor(await openModel(${JSON.stringify(STORIES_MODEL)}));
      console.log((await processor.encode("a ".repeat(5000))).length);`;
    const child = new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped", stderr: "piped" });
    const { code, stdout, stderr } = await child.output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.ok(Number(new TextDecoder().decode(stdout)) > 5000);
  },
});

Deno.test({
  name: "A model that the worker cannot load is an error of long texts alone",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor({ ...file, path: "/no/such/model.gguf" });
    file.close();
    await assert.rejects(processor.encode(LONG_TEXT), /no\/such\/model\.gguf does not exist/);
    assert.deepEqual(await processor.encode("Once"), processor.tokenizer.encode("Once"));
    processor.close();
  },
});

Deno.test({
  name: "A text that is longer than the context can be is refused before it is encoded",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    const limit = { tokens: 512, field: "prompt" };
    const most = 512 * processor.tokenizer.longestToken;
    assert.ok((await processor.encode("a".repeat(most), { limit })).length > 512);
    await assert.rejects(processor.encode("a".repeat(most + 1), { limit }), {
      name: "UnservableRequestError",
      field: "prompt",
      code: "context_length_exceeded",
      message: /maximum context length is 512 tokens\. However, \d+ characters in the prompt are more than 512 tokens/,
    });
    processor.close();
  },
});

Deno.test({
  name: "Texts of clients that have gone are not encoded, and a short text overtakes the long ones",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    const finished: string[] = [];
    const encode = (name: string, text: string, signal?: AbortSignal) =>
      processor.encode(text, { signal }).then((tokens) => {
        finished.push(name);
        return tokens;
      });
    const client = new AbortController();
    const first = encode("first", LONG_TEXT.slice(0, 30_000));
    const gone = [1, 2, 3].map(() => encode("gone", LONG_TEXT.slice(0, 65_000), client.signal));
    const long = encode("long", LONG_TEXT.slice(0, 60_000));
    const short = encode("short", LONG_TEXT.slice(0, 5000));
    client.abort(new Error("gone"));
    for (const encoding of gone) await assert.rejects(encoding, /^Error: gone$/);
    await assert.rejects(encode("late", "a", client.signal), /^Error: gone$/);
    const tokens = await Promise.all([first, long, short]);
    assert.deepEqual(finished, ["first", "short", "long"]);
    assert.deepEqual(tokens[2], processor.tokenizer.encode(LONG_TEXT.slice(0, 5000)));
    processor.close();
  },
});

Deno.test({
  name: "A very long text holds up none but others of its kind, whatever comes first",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    const [text, page] = [LONG_TEXT.repeat(10), LONG_TEXT.slice(0, 3000)];
    const finished: string[] = [];
    const encode = (name: string, text: string) => processor.encode(text).finally(() => finished.push(name));
    // A hundred times as much work, and a worker that has to be started: no machine is so uneven.
    const [veryLong, other] = [encode("very long", text), encode("other", text)];
    const tokens = await encode("page", page);
    assert.deepEqual(tokens, processor.tokenizer.encode(page));
    assert.deepEqual(await veryLong, processor.tokenizer.encode(text));
    await other;
    assert.deepEqual(finished, ["page", "very long", "other"]);
    processor.close();
  },
});

Deno.test({
  name: "A client that goes while its text is encoded is told so at once, and the next text gets its own tokens",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const processor = await createTextProcessor(file);
    file.close();
    const client = new AbortController();
    const running = processor.encode(LONG_TEXT.repeat(4), { signal: client.signal });
    await new Promise((resolve) => setTimeout(resolve, 0));
    client.abort(new Error("gone"));
    await assert.rejects(running, /^Error: gone$/);
    assert.deepEqual(await processor.encode(LONG_TEXT), processor.tokenizer.encode(LONG_TEXT));
    processor.close();
  },
});
