import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { HubError } from "../../src/hub/hub_error.ts";
import { ModelCache } from "../../src/hub/model_cache.ts";
import { cachedOrPulled, pull, type PullOptions } from "../../src/hub/pull.ts";
import { FakeHub, type Fault, type SeenRequest } from "../support/fake_hub.ts";
import { utf8, withDirectory } from "../support/files.ts";

/** 48 bytes, no two neighbours alike. */
const BYTES = Uint8Array.from({ length: 48 }, (_, i) => (i * 37 + 11) % 251);
const CHUNK = 20;
const MODEL = "hf:o/r:model.gguf";

interface Scene {
  readonly hub: FakeHub;
  readonly directory: string;
  /** Milliseconds that were waited, instead of waiting. */
  readonly waits: number[];
  readonly log: string[];
  pull(text?: string, options?: Partial<PullOptions>): Promise<string>;
}

/** A hub with one model of three chunks, and an empty cache. */
function scene(action: (scene: Scene) => Promise<void>): Promise<void> {
  return withDirectory({}, async (directory) => {
    await using hub = await FakeHub.start();
    hub.files = { "model.gguf": BYTES };
    const waits: number[] = [];
    const log: string[] = [];
    const settings = { endpoint: hub.endpoint, offline: false, directory };
    await action({
      hub,
      directory,
      waits,
      log,
      pull: (text = MODEL, options = {}) =>
        pull(text, {
          settings,
          chunkBytes: CHUNK,
          log: (line) => log.push(line),
          sleep: (milliseconds) => Promise.resolve(void waits.push(milliseconds)),
          ...options,
        }),
    });
  });
}

/** A fault of the store's first requests for a chunk, so many for each. */
function firstOfEach(times: number, fault: Fault): (request: SeenRequest) => Fault | undefined {
  const counts = new Map<string, number>();
  return ({ server, range = "" }) => {
    if (server !== "store") return undefined;
    const chunk = String(Math.floor(Number(/\d+/.exec(range)![0]) / CHUNK));
    counts.set(chunk, (counts.get(chunk) ?? 0) + 1);
    return counts.get(chunk)! <= times ? fault : undefined;
  };
}

const rejected = (message: RegExp, isMissing = false) => (error: unknown) => {
  assert.ok(error instanceof HubError, String(error));
  assert.match(error.message, message);
  assert.equal(error.isMissing, isMissing);
  return true;
};

Deno.test("a model comes in ranges from where the hub redirects, and is noted with its hash and commit", () =>
  scene(async ({ hub, directory, pull }) => {
    const seen: [number, number][] = [];
    const path = await pull(MODEL, { onProgress: ({ done, total }) => seen.push([done, total]) });
    assert.deepEqual(await Deno.readFile(path), BYTES);
    assert.deepEqual(hub.ranges.toSorted(), ["bytes=0-19", "bytes=20-39", "bytes=40-47"]);
    assert.deepEqual(seen.at(0), [0, 48]);
    assert.deepEqual(seen.at(-1), [48, 48]);

    const [model] = await new ModelCache(directory).list();
    assert.equal(model.name, MODEL);
    assert.equal(model.commit, hub.commit);
    assert.equal(model.isComplete, true);
    const sha256 = createHash("sha256").update(BYTES).digest("hex");
    assert.deepEqual(model.files, [{ path: "model.gguf", size: 48, sha256 }]);
    assert.deepEqual([...Deno.readDirSync(`${directory}/hub/o/r`)].map(({ name }) => name), ["model.gguf"]);
  }));

Deno.test("the token goes to the hub alone", () =>
  scene(async ({ hub, directory, pull }) => {
    hub.token = "hf_secret";
    const settings = { endpoint: hub.endpoint, offline: false, directory, token: hub.token };
    await pull(MODEL, { settings });
    for (const { server, authorization } of hub.requests) {
      assert.equal(authorization, server === "hub" ? "Bearer hf_secret" : undefined);
    }
  }));

for (let bytes = 0; bytes <= CHUNK; bytes++) {
  Deno.test(`connections that break after ${bytes} bytes are taken up where they broke`, () =>
    scene(async ({ hub, pull }) => {
      hub.fault = firstOfEach(1, { breakAfter: bytes });
      assert.deepEqual(await Deno.readFile(await pull()), BYTES);
    }));
}

Deno.test("a download that was given up goes on from every byte, and asks for nothing twice", async () => {
  for (let bytes = 0; bytes < CHUNK; bytes++) {
    await scene(async ({ hub, directory, pull }) => {
      hub.fault = ({ server }) => server === "store" ? { breakAfter: bytes } : undefined;
      const patience = { attempts: 1, connections: 1 };
      await assert.rejects(pull(MODEL, patience), rejected(/ broke; tried 1 times, try again later$/));
      const [model] = await new ModelCache(directory).list();
      assert.equal(model.isComplete, false);

      hub.fault = () => undefined;
      hub.requests.length = 0;
      assert.deepEqual(await Deno.readFile(await pull(MODEL, patience)), BYTES);
      assert.deepEqual(hub.ranges, [`bytes=${bytes}-19`, "bytes=20-39", "bytes=40-47"]);
    });
  }
});

Deno.test("trying goes on as long as bytes come, and ends when none do", () =>
  scene(async ({ hub, waits, pull }) => {
    hub.fault = ({ server }) => server === "store" ? { breakAfter: 1 } : undefined;
    assert.deepEqual(await Deno.readFile(await pull(MODEL, { attempts: 2 })), BYTES);
    assert.equal(hub.ranges.length, BYTES.length);

    hub.commit = "1".repeat(40);
    hub.files = { "model.gguf": BYTES.toReversed() };
    hub.fault = ({ server }) => server === "store" ? { breakAfter: 0 } : undefined;
    waits.length = 0;
    await assert.rejects(pull(MODEL, { attempts: 4, connections: 1 }), rejected(/ tried 4 times, try again later$/));
    assert.deepEqual(waits, [1000, 2000, 4000]);
  }));

Deno.test("an answer that stops coming counts as broken", () =>
  scene(async ({ hub, pull }) => {
    hub.fault = firstOfEach(1, { stall: true });
    assert.deepEqual(await Deno.readFile(await pull(MODEL, { stallMilliseconds: 200 })), BYTES);
  }));

Deno.test("a busy server is waited for as long as it asks, by either header, and not for ever", () =>
  scene(async ({ hub, waits, log, pull }) => {
    const answers: Fault[] = [
      { status: 429, headers: { "retry-after": "7" } },
      { status: 429, headers: { ratelimit: '"api";r=0;t=55' } },
      { status: 503 },
    ];
    hub.fault = ({ path }) => path.startsWith("/api/") ? answers.shift() : undefined;
    await pull();
    assert.deepEqual(waits, [7000, 55_000, 4000]);
    assert.deepEqual(
      log,
      [7, 55].map((wait) => `${new URL(hub.endpoint).host} gets too many requests and asks to wait ${wait} s: waiting`),
    );

    hub.fault = () => ({ status: 429, headers: { "retry-after": "3600" } });
    await assert.rejects(pull(), rejected(/asks to wait 3600 s: try again then$/));
  }));

Deno.test("a signed URL that expires is asked for anew", () =>
  scene(async ({ hub, pull }) => {
    hub.fault = ({ server }) => {
      if (server === "store" && hub.ranges.length === 2) hub.oldestSignature = 2;
      return undefined;
    };
    assert.deepEqual(await Deno.readFile(await pull(MODEL, { connections: 1 })), BYTES);
    assert.equal(hub.requests.filter(({ path }) => path.includes("/resolve/")).length, 2);
  }));

Deno.test("what the hub refuses is explained, with what to do", () =>
  scene(async ({ hub, directory, pull }) => {
    await assert.rejects(pull("hf:o/other"), rejected(/^hf:o\/other does not exist \(RepoNotFound\)$/, true));
    await assert.rejects(pull("hf:o/r:nope"), rejected(/^No GGUF file [^]*after a colon\n {2}model\.gguf$/, true));
    hub.token = "hf_secret";
    await assert.rejects(pull(), rejected(/^hf:o\/r does not exist, or is private: .* set HF_TOKEN /, true));
    const settings = { endpoint: hub.endpoint, offline: false, directory, token: "hf_wrong" };
    await assert.rejects(pull(MODEL, { settings }), rejected(/the token in HF_TOKEN may not read it$/, true));
    hub.fault = () => ({ status: 403, headers: { "x-error-code": "GatedRepo" } });
    await assert.rejects(pull(), rejected(/^hf:o\/r is open only to those who have accepted its terms: /, true));
  }));

Deno.test("a file that came damaged is thrown away, and comes whole the next time", () =>
  scene(async ({ hub, directory, pull }) => {
    hub.fault = firstOfEach(1, { corrupt: true });
    await assert.rejects(
      pull(),
      rejected(/ came damaged: its SHA-256 is [\da-f]{64}, expected [\da-f]{64}; pull it again$/),
    );
    assert.deepEqual([...Deno.readDirSync(`${directory}/hub/o/r`)], []);
    assert.deepEqual(await Deno.readFile(await pull()), BYTES);
  }));

Deno.test("a server that knows no ranges sends the file as a whole, again from the start where it broke", () =>
  scene(async ({ hub, pull }) => {
    hub.takesRanges = false;
    let breaks = 1;
    hub.fault = ({ server }) => server === "store" && breaks-- > 0 ? { breakAfter: 31 } : undefined;
    assert.deepEqual(await Deno.readFile(await pull(MODEL, { connections: 1 })), BYTES);
  }));

Deno.test("a model that has not changed is not downloaded again, and one that has is, part by part", () =>
  scene(async ({ hub, directory, pull }) => {
    const config = utf8("{}");
    const tokenizer = utf8("0123456789");
    hub.files = { "config.json": config, "tokenizer.json": tokenizer, "model.safetensors": BYTES, "README.md": config };
    const path = await pull("hf:o/r");
    assert.equal(path, `${directory}/hub/o/r`);
    const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    const fetched = () => hub.requests.map((seen) => seen.path).filter((seen) => seen.includes("/resolve/"));

    hub.requests.length = 0;
    await pull("hf:o/r");
    assert.deepEqual(fetched(), []);

    hub.commit = "1".repeat(40);
    hub.files = { ...hub.files, "config.json": utf8("[]") };
    await pull("hf:o/r");
    assert.deepEqual(fetched(), [`/o/r/resolve/${hub.commit}/config.json`]);
    assert.equal(await Deno.readTextFile(`${path}/config.json`), "[]");
    assert.equal((await new ModelCache(directory).list())[0].commit, hub.commit);
  }));

Deno.test("a listing of several pages is read to its end", () =>
  scene(async ({ hub, pull }) => {
    hub.pageSize = 1;
    hub.files = { a: BYTES, b: BYTES, "z.gguf": BYTES };
    assert.match(await pull("hf:o/r"), /z\.gguf$/);
  }));

Deno.test("a listing whose paths lead elsewhere is refused", () =>
  scene(async ({ hub, pull }) => {
    for (const path of ["../a.gguf", "/etc/a.gguf", "a\\b.gguf", "./a.gguf", "c:/a.gguf"]) {
      hub.files = { [path]: BYTES };
      await assert.rejects(
        pull("hf:o/r"),
        rejected(/lists a file with the path ".*: is HF_ENDPOINT the address of a hub\?$/),
      );
    }
  }));

Deno.test("a plain URL is a model too, and is asked for its ETag before it comes again", () =>
  scene(async ({ hub, directory, pull }) => {
    const url = `${hub.endpoint}/o/r/resolve/${hub.commit}/model.gguf`;
    const path = await pull(url);
    assert.deepEqual(await Deno.readFile(path), BYTES);
    hub.requests.length = 0;
    assert.equal(await pull(url), path);
    assert.deepEqual(hub.ranges, ["bytes=0-0"]);
    hub.files = { "model.gguf": BYTES.toReversed() };
    assert.deepEqual(await Deno.readFile(await pull(url)), BYTES.toReversed());
    assert.deepEqual((await new ModelCache(directory).list()).map(({ name }) => name), [url]);
  }));

Deno.test("a file that changes while it comes is not put together of two", () =>
  scene(async ({ hub, pull }) => {
    hub.fault = () => {
      if (hub.ranges.length === 3) hub.files = { "model.gguf": BYTES.toReversed() };
      return undefined;
    };
    const url = `${hub.endpoint}/o/r/resolve/${hub.commit}/model.gguf`;
    await assert.rejects(
      pull(url, { connections: 1 }),
      rejected(/ has changed while it was downloaded: pull it again$/),
    );
    assert.deepEqual(await Deno.readFile(await pull(url)), BYTES.toReversed());
  }));

Deno.test("what another process downloads is left alone", () =>
  scene(async ({ directory, pull }) => {
    await Deno.mkdir(`${directory}/hub/o/r`, { recursive: true });
    using other = await Deno.open(`${directory}/hub/o/r/model.gguf.part`, { create: true, write: true });
    await other.lock(true);
    await assert.rejects(pull(), rejected(/model\.gguf is being downloaded by another process$/));
  }));

Deno.test("a model in the cache is opened without asking anybody, by every word that it was pulled by", () =>
  scene(async ({ hub, directory, pull }) => {
    hub.files = { "model-Q8_0.gguf": BYTES };
    const path = await pull("hf:o/r:q8_0");
    hub.requests.length = 0;
    const settings = { endpoint: hub.endpoint, offline: true, directory };
    for (const name of ["hf:o/r:q8_0", "hf:o/r:model-Q8_0.gguf"]) {
      assert.equal(await cachedOrPulled(name, { settings }), path);
    }
    assert.deepEqual(hub.requests, []);
    await assert.rejects(
      cachedOrPulled("hf:o/r:Q4_0", { settings }),
      rejected(/^hf:o\/r:Q4_0 is not in the cache, and HF_HUB_OFFLINE is set; there: hf:o\/r:model-Q8_0\.gguf$/, true),
    );
    await assert.rejects(pull("hf:o/r", { settings }), rejected(/HF_HUB_OFFLINE is set$/));

    // A file that was cut short is no model any more.
    await Deno.truncate(path, 5);
    await cachedOrPulled("hf:o/r:q8_0", { settings: { ...settings, offline: false } });
    assert.deepEqual(await Deno.readFile(path), BYTES);
  }));

Deno.test("removing a model removes what was begun too, and leaves its neighbours", () =>
  scene(async ({ hub, directory, pull }) => {
    hub.files = { "a-Q8_0.gguf": BYTES, "b-Q4_0.gguf": BYTES };
    await pull("hf:o/r:Q8_0");
    hub.fault = ({ server }) => server === "store" ? { breakAfter: 7 } : undefined;
    await assert.rejects(pull("hf:o/r:Q4_0", { attempts: 1 }));
    const cache = new ModelCache(directory);
    await cache.remove((await cache.find("hf:o/r:Q4_0"))!);
    assert.deepEqual([...Deno.readDirSync(`${directory}/hub/o/r`)].map(({ name }) => name), ["a-Q8_0.gguf"]);
    await cache.remove((await cache.find("hf:o/r:Q8_0"))!);
    assert.deepEqual(await cache.list(), []);
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name).sort(), ["index.json", "index.lock"]);
  }));
