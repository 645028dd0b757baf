import assert from "node:assert/strict";
import { optionsJsonSchema } from "../../src/policy/choice.ts";
import { UnservableRequestError } from "../../src/contract/errors.ts";
import { allocators, findPolicy, parseKvCacheChoice, policies, scorers } from "../support/policies.ts";

const DYNAMICKV_DEFAULTS = {
  window: 8,
  kernel: 7,
  pooling: "average",
  valueNorm: false,
  mode: "mended",
};
const defaults = { policy: "dynamickv", budget: 1024, options: { window: 16 } };

const namesOf = (plugins: readonly { readonly name: string }[]) => plugins.map(({ name }) => name).join(", ");

function refusal(value: unknown): UnservableRequestError {
  try {
    parseKvCacheChoice(value, defaults);
  } catch (error) {
    assert.ok(error instanceof UnservableRequestError, String(error));
    return error;
  }
  assert.fail(`${JSON.stringify(value)} was accepted`);
}

Deno.test("findPolicy() finds every policy by its name", () => {
  assert.ok(policies.length > 10);
  for (const policy of policies) assert.equal(findPolicy(policy.name), policy);
  assert.equal(findPolicy("constructor"), undefined);
});

Deno.test("parseKvCacheChoice() fills in what a request leaves out", () => {
  const expected = { ...defaults, options: { ...DYNAMICKV_DEFAULTS, window: 16 } };
  for (const value of [undefined, null, {}]) assert.deepEqual(parseKvCacheChoice(value, defaults), expected);
  assert.deepEqual(parseKvCacheChoice({ budget: "6.9%", options: { kernel: 5 } }, defaults), {
    policy: "dynamickv",
    budget: "6.9%",
    options: { ...DYNAMICKV_DEFAULTS, window: 16, kernel: 5 },
  });
});

Deno.test("parseKvCacheChoice() takes a field that is null as left out, in the options too", () => {
  const nothing = { policy: null, scorer: null, allocator: null, budget: null, options: null, decode_eviction: null };
  assert.deepEqual(parseKvCacheChoice(nothing, defaults), parseKvCacheChoice({}, defaults));
  assert.deepEqual(
    parseKvCacheChoice({ policy: null, scorer: "h2o", options: { window: null } }, defaults),
    parseKvCacheChoice({ scorer: "h2o" }, defaults),
  );
  const { options } = parseKvCacheChoice({ options: { window: null, kernel: 5 } }, defaults);
  assert.deepEqual(options, { ...DYNAMICKV_DEFAULTS, window: 16, kernel: 5 });
  assert.equal(refusal({ budget: [null] }).field, "kv_cache.budget");
});

Deno.test("parseKvCacheChoice() passes on what is to be reported, with any policy", () => {
  assert.equal(parseKvCacheChoice({}, defaults).report, undefined);
  assert.equal(parseKvCacheChoice({ report: "positions" }, defaults).report, "positions");
  assert.equal(parseKvCacheChoice({ policy: "full", report: "positions" }, defaults).report, "positions");
});

Deno.test("parseKvCacheChoice() does not pass one policy's options to another", () => {
  assert.deepEqual(parseKvCacheChoice({ policy: "full" }, defaults), { policy: "full", budget: 1024, options: {} });
  const fromFull = parseKvCacheChoice({ policy: "dynamickv", budget: 64 }, { policy: "full", budget: 1 });
  assert.deepEqual(fromFull, { policy: "dynamickv", budget: 64, options: DYNAMICKV_DEFAULTS });
});

Deno.test("parseKvCacheChoice() refuses a floor where the mode has none, in every policy that has the allocator", () => {
  const floor = (mode: string) => ({ options: { mode, floor: 0.2 } });
  assert.equal(parseKvCacheChoice(floor("mended"), defaults).options!.floor, 0.2);
  for (const choice of [{}, { policy: "h2o+dynamickv" }]) {
    const { field, message } = refusal({ ...choice, ...floor("published") });
    assert.equal(field, "kv_cache.options.floor");
    assert.match(message, /^Invalid kv_cache\.options\.floor 0\.2: the mode "published" has no floor/);
  }
});

Deno.test("parseKvCacheChoice() says that a budget does not count where every row is kept", () => {
  const choice = { policy: "full", budget: 64 };
  assert.deepEqual(parseKvCacheChoice(choice, defaults).idle, [
    "The budget 64 does not count: the policy full keeps every row",
  ]);
  assert.equal(parseKvCacheChoice({ policy: "full" }, defaults).idle, undefined);
});

Deno.test("parseKvCacheChoice() combines a scorer and an allocator, by their fields or as a policy's name", () => {
  const expected = {
    policy: "snapkv+dynamickv",
    budget: 64,
    options: { kernel: 7, pooling: "maximum", valueNorm: false, mode: "mended", floor: 0.2 },
  };
  const given = { budget: 64, options: { floor: 0.2 } };
  assert.deepEqual(parseKvCacheChoice({ scorer: "snapkv", allocator: "dynamickv", ...given }, defaults), expected);
  assert.deepEqual(parseKvCacheChoice({ policy: "snapkv+dynamickv", ...given }, defaults), expected);
  // Both halves have a default.
  assert.equal(parseKvCacheChoice({ scorer: "h2o" }, defaults).policy, "h2o+uniform");
  assert.equal(parseKvCacheChoice({ allocator: "pyramidkv" }, defaults).policy, "snapkv+pyramidkv");
  // A combination can be what a server falls back to.
  const combined = parseKvCacheChoice({ policy: "tova+cake", options: { tau1: 2 } }, defaults);
  assert.deepEqual(parseKvCacheChoice({ scorer: "tova", allocator: "cake" }, combined), combined);
  assert.deepEqual(parseKvCacheChoice({ policy: "tova" }, combined).options, {});
});

Deno.test("parseKvCacheChoice() completes budgets by mass, which what keeps all of the prompt can have as well", () => {
  const budgetOf = (budget: unknown, policy = "dynamickv") => parseKvCacheChoice({ policy, budget }, defaults).budget;
  assert.deepEqual(budgetOf("auto"), { mass: 0.98, max: "50%" });
  assert.deepEqual(budgetOf({ mass: 0.9 }), { mass: 0.9, max: "50%" });
  assert.deepEqual(budgetOf({ max: 512 }, "adakv"), { mass: 0.98, max: 512 });
  assert.deepEqual(budgetOf("auto", "full"), { mass: 0.98, max: "50%" });
  const served = { ...defaults, budget: { mass: 0.7, max: 64 } };
  assert.deepEqual(parseKvCacheChoice({}, served).budget, served.budget);
});

Deno.test("parseKvCacheChoice() evicts while tokens are generated only where a request or the defaults for its policy ask for it", () => {
  const intervalOf = (value: unknown) => parseKvCacheChoice(value, defaults).decodeInterval;
  assert.equal(intervalOf({ policy: "tova" }), undefined);
  assert.equal("decodeInterval" in parseKvCacheChoice({ policy: "full", decode_eviction: false }, defaults), false);
  assert.equal(intervalOf({ policy: "h2o", decode_eviction: true }), 128);
  assert.equal(intervalOf({ scorer: "tova", allocator: "dynamickv", decode_eviction: 40 }), 40);

  const evicting = parseKvCacheChoice({ decode_eviction: 64 }, defaults);
  const inheritedBy = (value: unknown) => parseKvCacheChoice(value, evicting).decodeInterval;
  assert.equal(inheritedBy({ budget: 7 }), 64);
  assert.equal(inheritedBy({ decode_eviction: 9 }), 9);
  assert.equal(inheritedBy({ decode_eviction: false }), undefined);
  assert.equal(inheritedBy({ policy: "h2o" }), undefined);
  const protectionOf = (value: unknown) => parseKvCacheChoice(value, evicting).decodeProtection;
  assert.equal(protectionOf({}), "prompt");
  assert.equal(protectionOf({ decode_eviction: { protect: "none" } }), "none");
  assert.equal(inheritedBy({ decode_eviction: { protect: "none" } }), 128);
  assert.equal(inheritedBy({ decode_eviction: { interval: 5 } }), 5);
  assert.equal(protectionOf({ decode_eviction: false }), undefined);
  assert.equal(intervalOf({ policy: "readahead", decode_eviction: true }), 128);
  assert.equal(inheritedBy({ policy: "full" }), undefined);
});

Deno.test("parseKvCacheChoice() names the field at fault, its value and what was expected", () => {
  const cases: [unknown, string, RegExp][] = [
    ["full", "kv_cache", /"full".*expected object/],
    [
      { policy: "fulll" },
      "kv_cache.policy",
      new RegExp(
        `Unknown KV cache policy "fulll": .* one of ${
          namesOf(policies)
        }, or SCORER\\+ALLOCATOR, such as snapkv\\+pyramidkv$`,
      ),
    ],
    [{ policy: "snapkv+fulll" }, "kv_cache.policy", /Unknown KV cache policy "snapkv\+fulll"/],
    [
      { scorer: "full", allocator: "uniform" },
      "kv_cache.scorer",
      new RegExp(`Unknown KV cache scorer "full": kv_cache.scorer must be one of ${namesOf(scorers)}$`),
    ],
    [
      { allocator: "snapkv" },
      "kv_cache.allocator",
      new RegExp(`Unknown KV cache allocator "snapkv": .* one of ${namesOf(allocators)}$`),
    ],
    [
      { policy: "snapkv", allocator: "dynamickv" },
      "kv_cache.allocator",
      /policy "snapkv" cannot be combined with kv_cache.allocator "dynamickv": give either a policy, or/,
    ],
    [{ scorer: "tova", options: { window: 8 } }, "kv_cache.options.window", /known fields are none$/],
    [{ scorer: "h2o", options: { recentShare: 2 } }, "kv_cache.options.recentShare", /recentShare 2: .*<=1/],
    [{ policy: 3 }, "kv_cache.policy", /kv_cache.policy 3: .*expected string/],
    [
      { polciy: "full" },
      "kv_cache.polciy",
      /known fields are policy, scorer, allocator, budget, options, decode_eviction, report$/,
    ],
    [
      { decode_eviction: 0 },
      "kv_cache.decode_eviction",
      /decode_eviction 0: must be true, false, a whole number of tokens/,
    ],
    [{ decode_eviction: "yes" }, "kv_cache.decode_eviction", /decode_eviction "yes": must be true, false, a whole/],
    [
      { scorer: "snapkv", allocator: "adakv", decode_eviction: { protect: "boundaries" } },
      "kv_cache.decode_eviction.protect",
      /"snapkv\+adakv" cannot evict rows of the prompt .* as protect "boundaries" asks: expected one of dynamickv, h2o/,
    ],
    [
      { policy: "full", decode_eviction: true },
      "kv_cache.decode_eviction",
      /policy "full" cannot evict while tokens are generated: .* one of ebbkv, dynamickv, .*readahead, .*h2o, tova, snapkv, .*keydiff, .*random$/,
    ],
    [{ scorer: "streaming", decode_eviction: 64 }, "kv_cache.decode_eviction", /"streaming\+uniform" cannot evict/],
    [{ report: "everything" }, "kv_cache.report", /kv_cache.report "everything": must be "positions", or left out$/],
    [{ report: true }, "kv_cache.report", /kv_cache.report true: must be "positions"/],
    [{ budget: 0 }, "kv_cache.budget", /positive whole number of rows.*but is 0$/],
    [{ budget: { mass: 0 } }, "kv_cache.budget", /mass .* above 0 and up to 1, but is 0$/],
    [{ budget: { mass: 0.9, max: "x" } }, "kv_cache.budget", /but is "x"$/],
    [{ budget: { share: 0.9 } }, "kv_cache.budget", /kv_cache.budget \{"share":0.9\}: unrecognized key: "share"$/],
    [
      { policy: "keydiff", budget: "auto" },
      "kv_cache.budget",
      /"keydiff" does not score by attention alone.* one of the policies ebbkv, dynamickv, readahead, rehearsal, h2o, tova, snapkv, pyramidkv, adakv$/,
    ],
    [
      { policy: "snapkv", budget: { mass: 0.9 }, decode_eviction: { protect: "boundaries" } },
      "kv_cache.decode_eviction.protect",
      /budget by mass cannot be found where decode_eviction protects the boundaries .* or protect prompt or none$/,
    ],
    [{ policy: "snapkv", options: { valueNorm: 3 }, budget: "auto" }, "kv_cache.options.valueNorm", /boolean/],
    [{ budget: "lots" }, "kv_cache.budget", /"6\.9%", or "auto", but is "lots"$/],
    [{ budget: [] }, "kv_cache.budget", /kv_cache.budget \[\]: must be a number/],
    [{ options: { window: 0 } }, "kv_cache.options.window", /kv_cache.options.window 0: .*>=1/],
    [{ options: { window: 1.5 } }, "kv_cache.options.window", /1.5: .*expected int/],
    [{ options: { kernel: 4 } }, "kv_cache.options.kernel", /kernel 4: must be odd/],
    [{ options: { mode: "best" } }, "kv_cache.options.mode", /"best": .*"mended"\|"published"/],
    [{ options: { floor: 2 } }, "kv_cache.options.floor", /<=1/],
    [{ options: { windw: 8 } }, "kv_cache.options.windw", /known fields are window, kernel, pooling/],
    [{ policy: "full", options: { window: 8 } }, "kv_cache.options.window", /known fields are none/],
  ];
  for (const [value, field, message] of cases) {
    const error = refusal(value);
    assert.equal(error.field, field);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\.$/);
  }
});

Deno.test("Every policy, scorer and allocator has a JSON Schema in which no option is required", () => {
  for (const plugin of [...policies, ...scorers, ...allocators]) {
    const schema = optionsJsonSchema(plugin);
    assert.equal(schema.additionalProperties, false);
    assert.equal(schema.required, undefined, plugin.name);
  }
  const { properties } = optionsJsonSchema(findPolicy("pyramidkv")!) as { properties: Record<string, object> };
  const { description, ...window } = properties.window as { description: string };
  assert.deepEqual(window, { type: "integer", minimum: 1, maximum: 64, default: 8 });
  assert.match(description, /^Last rows of the prompt/, "a policy's own default does not lose the description");
});

Deno.test("optionsJsonSchema() describes a policy's options", () => {
  const schema = optionsJsonSchema(findPolicy("dynamickv")!);
  assert.equal(schema.additionalProperties, false);
  assert.equal(schema.required, undefined, "every option may be left out");
  const properties = schema.properties as Record<string, { default?: unknown; description?: string }>;
  const given = Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, property.default]));
  // These three depend on the mode.
  const dependent = { maximumRatio: undefined, interval: undefined, floor: undefined };
  assert.deepEqual(given, { ...DYNAMICKV_DEFAULTS, ...dependent });
  for (const property of Object.values(properties)) assert.ok(property.description);
});
