import assert from "node:assert/strict";
import { request } from "node:http";
import { listen, ListenError } from "../../src/routes/listener.ts";
import { TEST_CERTIFICATE, TEST_KEY } from "../support/certificate.ts";
import { withDirectory } from "../support/files.ts";
import { TOKEN } from "../support/fake_text.ts";
import { startApp } from "./harness.ts";

Deno.test("HTTPS serves replies and streams", async () => {
  const { app } = startApp({ tokens: [TOKEN.hello, TOKEN.end] });
  const drain = new AbortController();
  const tls = { cert: TEST_CERTIFICATE, key: TEST_KEY };
  const server = await listen(app, { port: 0, tls, drain: drain.signal, shutdown: new AbortController() });
  const client = Deno.createHttpClient({ caCerts: [TEST_CERTIFICATE] });
  try {
    assert.match(server.url, /^https:/);
    const health = await fetch(`${server.url}/health`, { client });
    assert.equal((await health.json()).status, "ok");
    const body = JSON.stringify({ prompt: "x", stream: true });
    const stream = await fetch(`${server.url}/v1/completions`, { method: "POST", body, client });
    assert.match(await stream.text(), /Hello.*\n\ndata: \[DONE\]\n\n$/s);
  } finally {
    client.close();
    drain.abort();
    await server.finished;
  }
});

Deno.test({
  name: "a Unix socket serves replies, and is named where it is there already",
  ignore: Deno.build.os === "windows", // There are none.
  fn: () =>
    withDirectory({}, async (directory) => {
      const path = `${directory}/ebb.sock`;
      const { app } = startApp({ tokens: [] });
      const drain = new AbortController();
      const options = { path, drain: drain.signal, shutdown: new AbortController() };
      const server = await listen(app, options);
      assert.equal(server.url, `unix:${path}`);
      await assert.rejects(
        listen(app, options),
        (error) => error instanceof ListenError && error.message.includes(path),
      );
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      request({ socketPath: path, path: "/health", headers: { host: "localhost" } }, (response) => {
        response.setEncoding("utf8").on("data", resolve);
      }).on("error", reject).end();
      assert.equal(JSON.parse(await promise).status, "ok");
      drain.abort();
      await server.finished;
    }),
});
