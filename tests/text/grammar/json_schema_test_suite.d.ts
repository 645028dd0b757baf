/** @file The types of npm's json-schema-test-suite, which has none: schemas of JSON Schema's official test suite. */

declare const suite: {
  /** The tests of draft 4, a group for each file. */
  draft4(): readonly {
    readonly name: string;
    readonly schemas: readonly { readonly description: string; readonly schema: object }[];
  }[];
};
export default suite;
