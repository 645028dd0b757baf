import assert from "node:assert/strict";
import { readyReport } from "../../src/cli/ready_report.ts";
import { FakeEngine, type FakeEngineOptions } from "../support/fake_engine.ts";

const STATS = { blocksTotal: 1024, blockBytes: 8192 };
const ADDRESS = { url: "http://127.0.0.1:8000", hasKeys: false };

function report(options: Partial<FakeEngineOptions> = {}, address: Partial<Parameters<typeof readyReport>[2]> = {}) {
  const engine = new FakeEngine({ script: () => ({ tokens: [] }), ...options });
  return readyReport(engine, STATS, { ...ADDRESS, ...address });
}

Deno.test("readyReport() names model, device, context, policy, budget and memory, and a command", () => {
  assert.deepEqual(report({ model: { parameterCount: 1_234_567, contextLength: 4096 } }), [
    "model     fake-model: llama, 1,234,567 parameters, F16, 3.9 KiB",
    "device    a fake",
    "context   4,096 tokens",
    "KV cache  dynamickv, 64 rows per layer; 8.0 MiB for all requests",
    'try       curl http://127.0.0.1:8000/v1/chat/completions -H "content-type: application/json" ' +
    `-d '{"messages": [{"role": "user", "content": "Hello! Who are you?"}]}'`,
  ]);
});

Deno.test("readyReport() names a share, eviction while generating, and a budget only where it counts", () => {
  const cache = (defaultKvCache: FakeEngineOptions["defaultKvCache"]) => report({ defaultKvCache })[3];
  assert.equal(
    cache({ policy: "snapkv", budget: "6.9%", decodeInterval: 128 }),
    "KV cache  snapkv, 6.9% of the prompt's rows, again after every 128 tokens generated; 8.0 MiB for all requests",
  );
  assert.equal(cache({ policy: "full", budget: 64 }), "KV cache  full; 8.0 MiB for all requests");
});

Deno.test("readyReport() asks at an address that can be called, with a key, through a socket", () => {
  const command = (address: Partial<Parameters<typeof readyReport>[2]>) => report({}, address)[4];
  assert.match(command({ url: "http://0.0.0.0:80" }), /^try {7}curl http:\/\/127\.0\.0\.1:80\/v1/);
  assert.match(command({ url: "http://[::]:80" }), /^try {7}curl http:\/\/\[::1\]:80\/v1/);
  assert.match(command({ hasKeys: true }), / -H "authorization: Bearer \$EBB_API_KEY" /);
  assert.match(command({ url: "unix:/a b", socket: "/a b" }), /curl --unix-socket '\/a b' http:\/\/localhost\/v1/);
});
