/** @file The KV cache policies that requests and flags can name. */
import { BUILT_IN_POLICIES } from "../plugins/built_in.ts";
import { PolicyRegistry } from "../policy/registry.ts";

/** Those that come with Ebb. */
export const builtInPolicies = new PolicyRegistry(BUILT_IN_POLICIES);
