import assert from "node:assert/strict";
import { hubSettings } from "../../src/hub/settings.ts";

Deno.test("the hub's variables and the system's folders decide", () => {
  assert.deepEqual(hubSettings({ HOME: "/home/a" }, "linux"), {
    endpoint: "https://huggingface.co",
    token: undefined,
    offline: false,
    directory: "/home/a/.cache/ebb/models",
  });
  assert.deepEqual(
    hubSettings(
      { HF_ENDPOINT: "http://mirror:8/hub/", HF_TOKEN: "t", HF_HUB_OFFLINE: "yes", EBB_CACHE: "/c" },
      "linux",
    ),
    { endpoint: "http://mirror:8/hub", token: "t", offline: true, directory: "/c" },
  );
  assert.equal(hubSettings({ XDG_CACHE_HOME: "/x", HOME: "/h" }, "linux").directory, "/x/ebb/models");
  assert.equal(hubSettings({ HOME: "/Users/a" }, "darwin").directory, "/Users/a/Library/Caches/ebb/models");
  assert.match(hubSettings({ LOCALAPPDATA: "C:\\L" }, "windows").directory, /^C:\\L.ebb.models$/);
  for (const on of ["1", "on", "TRUE"]) assert.equal(hubSettings({ HF_HUB_OFFLINE: on }, "linux").offline, true);
  for (const off of ["0", "off", ""]) assert.equal(hubSettings({ HF_HUB_OFFLINE: off }, "linux").offline, false);
});

Deno.test("an endpoint that is no URL is refused", () => {
  for (const endpoint of ["huggingface.co", "ftp://a", "localhost:80"]) {
    assert.throws(() => hubSettings({ HF_ENDPOINT: endpoint }, "linux"), {
      message: `HF_ENDPOINT must be a URL such as https://huggingface.co, not "${endpoint}"`,
    });
  }
});
