import assert from "node:assert/strict";
import { askable, chosenModel, type Model, nameInList } from "../../src/page/models.ts";
import { startApp } from "../routes/harness.ts";

function model(id: string, value: Model["status"]["value"], architecture?: string): Model {
  return { id, status: { value }, ...architecture && { meta: { architecture, device: "a device" } } };
}

Deno.test("models that generate can be asked, loaded or not; encoders cannot", async () => {
  const models = [model("one", "loaded", "llama"), model("two", "unloaded"), model("three", "loaded", "reranker")];
  assert.deepEqual(askable(models).map(({ id }) => id), ["one", "two"]);
  // As a server with an encoder lists them.
  const encoder = {
    model: {
      id: "vectors",
      kind: "embedder" as const,
      dimensions: 3,
      maximumTokens: 8,
      vocabularySize: 100,
      device: "a device",
    },
    embed: () => Promise.resolve([]),
    score: () => Promise.resolve([]),
  };
  const { app } = startApp({ tokens: [] }, {}, undefined, undefined, encoder);
  const { data } = await (await app.request("/v1/models")).json();
  assert.deepEqual(askable(data).map(({ id }) => id), ["fake-model"]);
  assert.equal(data[1].meta.device, "a device");
});

Deno.test("the first model is asked until another one is chosen that there is", () => {
  const models = [model("one", "loaded"), model("two", "unloaded")];
  assert.equal(chosenModel(models, null).id, "one");
  assert.equal(chosenModel(models, "two").id, "two");
  assert.equal(chosenModel(models, "gone").id, "one");
});

Deno.test("the list of models says which of them would have to be loaded", () => {
  assert.equal(nameInList(model("one", "loaded")), "one");
  assert.equal(nameInList(model("one", "unloaded")), "one (not loaded)");
  assert.equal(nameInList(model("one", "failed")), "one (failed)");
});
