import assert from "node:assert/strict";
import AjvDraft04 from "ajv-draft-04";
import addFormats from "ajv-formats";
// @ts-types="./json_schema_test_suite.d.ts"
import suite from "json-schema-test-suite";
import { seededRandom } from "../../../fixtures/random.ts";
import { UnsupportedGrammarError } from "../../../src/text/grammar/unsupported.ts";
import { compile, walk } from "../../support/grammar_walk.ts";
import { schemaGrammar } from "../../support/grammars.ts";

// The packages are CommonJS modules: their types and what they are differ.
const Ajv = (AjvDraft04 as unknown as { default: typeof AjvDraft04.default }).default;

/** Of a schema that holds no document at all, or whose references lead to other files. */
function validator(schema: object): ((document: unknown) => boolean) | null {
  const ajv = new Ajv({ strict: false });
  (addFormats as unknown as (validator: typeof ajv) => void)(ajv);
  try {
    return ajv.compile(schema);
  } catch {
    return null;
  }
}

Deno.test("of JSON Schema's own tests every schema is refused by name, or all that its grammar allows is valid", async () => {
  const random = seededRandom(3);
  const decoder = new TextDecoder();
  const schemas = suite.draft4().flatMap((group) => group.schemas);
  const counts = { followed: 0, refused: 0 };
  for (const { description, schema } of schemas) {
    let source;
    try {
      source = schemaGrammar(schema);
    } catch (error) {
      assert.ok(error instanceof UnsupportedGrammarError, `${description}: ${error}`);
      assert.match(error.message, /\w+.*(cannot be followed|expected|may both hold)/s, description);
      counts.refused++;
      continue;
    }
    const isValid = validator(schema);
    assert.ok(isValid !== null, `${description} is followed, and no schema`);
    const grammar = await compile(source);
    for (let i = 0; i < 20; i++) {
      const text = decoder.decode(await walk(grammar, random, 40));
      assert.ok(isValid(JSON.parse(text)), `${description}: ${text}`);
    }
    grammar.dispose();
    counts.followed++;
  }
  assert.ok(counts.followed >= 60 && counts.followed > 2 * counts.refused, JSON.stringify(counts));
});
