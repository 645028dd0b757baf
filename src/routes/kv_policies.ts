/** @file `GET /v1/kv/policies`: what the field `kv_cache` of a request may name, and the options of each. */
import type { Context } from "hono";
import type { Plugin } from "../plugins/policy.ts";
import { allocators, optionsJsonSchema, policies, scorers } from "../plugins/registry.ts";

function describe({ name, description, options }: Plugin) {
  return { name, description, options: optionsJsonSchema({ options }) };
}

/** Handles `GET /v1/kv/policies`. A ready-made policy tells which scorer and allocator it combines, where it does. */
export function kvPoliciesHandler() {
  const body = {
    object: "list",
    policies: policies.map((policy) => ({
      ...describe(policy),
      scorer: policy.scorer ?? null,
      allocator: policy.allocator ?? null,
    })),
    scorers: scorers.map(describe),
    allocators: allocators.map(describe),
  };
  return (c: Context): Response => c.json(body);
}
