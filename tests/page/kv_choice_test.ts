import assert from "node:assert/strict";
import {
  chosen,
  COMBINATION,
  decodeProtections,
  initialChoice,
  kvCacheField,
  type PolicyList,
} from "../../src/page/kv_choice.ts";
import { DECODE_PROTECTIONS, type KvCacheChoice } from "../../src/contract/generation.ts";
import { startApp } from "../routes/harness.ts";
import { parseKvCacheChoice } from "../support/policies.ts";

const DEFAULTS = { policy: "dynamickv", budget: 64 };

async function listOf(defaultKvCache: KvCacheChoice = DEFAULTS): Promise<PolicyList> {
  const { app } = startApp({ script: () => ({ tokens: [] }), defaultKvCache });
  return await (await app.request("/v1/kv/policies")).json();
}

Deno.test("the form begins with what the server does where a request says nothing", async () => {
  const list = await listOf();
  const initial = initialChoice(list);
  assert.deepEqual([initial.policy, initial.budget, chosen(list, initial).name], ["dynamickv", "64", "dynamickv"]);
  const { report: _, ...sent } = kvCacheField(list, initial);
  assert.deepEqual(parseKvCacheChoice(sent, DEFAULTS), parseKvCacheChoice({}, DEFAULTS));

  const byMass = { policy: "dynamickv", budget: { mass: 0.9, max: "50%" } };
  const auto = await listOf(byMass);
  const { report: __, ...sentByMass } = kvCacheField(auto, initialChoice(auto));
  assert.deepEqual(parseKvCacheChoice(sentByMass, byMass), parseKvCacheChoice({}, byMass));

  const combined = await listOf({ policy: "h2o+adakv", budget: 10 });
  const { policy, scorer, allocator } = initialChoice(combined);
  assert.deepEqual([policy, scorer, allocator], [COMBINATION, "h2o", "adakv"]);
  assert.equal(chosen(combined, initialChoice(combined)).name, "h2o+adakv");
});

Deno.test("the field has numbers of rows as numbers, shares as they are, options that were typed in, and asks for positions", async () => {
  const list = await listOf();
  const form = { ...initialChoice(list), policy: "snapkv" };
  assert.deepEqual(kvCacheField(list, { ...form, budget: " 128 ", options: { window: "16", floor: "1" } }), {
    policy: "snapkv",
    budget: 128,
    options: { window: 16 },
    decode_eviction: false,
    report: "positions",
  });
  assert.equal(kvCacheField(list, { ...form, budget: "10%" }).budget, "10%");
  assert.equal("budget" in kvCacheField(list, { ...form, budget: "" }), false);
  // Refused by the server, in its words.
  assert.equal(kvCacheField(list, { ...form, budget: "lots" }).budget, "lots");
  assert.equal(kvCacheField(list, { ...form, decodeEviction: "64" }).decode_eviction, 64);
  assert.deepEqual(kvCacheField(list, { ...form, decodeEviction: "64", decodeProtection: "none" }).decode_eviction, {
    interval: 64,
    protect: "none",
  });
  assert.deepEqual(kvCacheField(list, { ...form, budget: '{ "mass": 0.9 }' }).budget, { mass: 0.9 });
  assert.equal(kvCacheField(list, { ...form, budget: "auto" }).budget, "auto");
  const full = kvCacheField(list, { ...form, policy: "full", budget: "128", decodeEviction: "64" });
  assert.deepEqual(full, { policy: "full", decode_eviction: taken(list, "full") ? 64 : false, report: "positions" });
});

/** Whether the server says that a policy can evict while tokens are generated. */
const taken = ({ policies }: PolicyList, name: string) =>
  policies.find((policy) => policy.name === name)!.decode_eviction === true;

Deno.test("what evictions leave alone is what the server's schema lists", async () => {
  const { names, description } = decodeProtections(await listOf());
  assert.deepEqual(names, [...DECODE_PROTECTIONS]);
  assert.match(description, /^Rows that are left alone/);
});

Deno.test("every policy and every combination that the form can name is taken by the server, options and all", async () => {
  const list = await listOf();
  const form = { ...initialChoice(list), decodeEviction: "32" };
  const forms = [
    ...list.policies.map(({ name }) => ({ ...form, policy: name })),
    ...list.scorers.flatMap((scorer) =>
      list.allocators.map((allocator) => ({
        ...form,
        policy: COMBINATION,
        scorer: scorer.name,
        allocator: allocator.name,
      }))
    ),
  ];
  assert.ok(forms.length > 50);
  for (const choice of forms) {
    const sent = kvCacheField(list, choice);
    const taken = parseKvCacheChoice(sent, DEFAULTS);
    assert.deepEqual([taken.policy, taken.report], [sent.policy, "positions"]);
    const known = Object.keys(chosen(list, choice).options.properties ?? {});
    assert.ok(Object.keys(taken.options!).every((name) => known.includes(name)), `${sent.policy} has options ${known}`);
  }
});
