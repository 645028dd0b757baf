/** @file The program does what it did: every policy on three models, alone and packed, and a comparison by the command line. */
import assert from "node:assert/strict";
import { record } from "../../tools/golden/behaviour.ts";
import { type BehaviourRecord, differences } from "../../tools/golden/behaviour/differences.ts";

const RECORD = new URL("../golden/behaviour.json", import.meta.url);

/** A change on purpose is recorded anew: see tools/golden/behaviour.ts. */
Deno.test("tokens, log-probabilities, kept rows and messages are those recorded", async () => {
  const before: BehaviourRecord = JSON.parse(await Deno.readTextFile(RECORD));
  const { lines } = differences(before, await record(true));
  assert.equal(lines.join("\n"), "");
});
