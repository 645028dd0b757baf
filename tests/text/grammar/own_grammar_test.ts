import assert from "node:assert/strict";
import { seededRandom } from "../../../fixtures/random.ts";
import { UnsupportedGrammarError } from "../../../src/text/grammar/unsupported.ts";
import { compile, walk } from "../../support/grammar_walk.ts";
import { ownGrammar } from "../../support/grammars.ts";

const decoder = new TextDecoder();
async function* walks(source: string, count = 20): AsyncGenerator<string> {
  const random = seededRandom(6);
  const grammar = await compile(ownGrammar(source));
  for (let i = 0; i < count; i++) yield decoder.decode(await walk(grammar, random, 40));
  grammar.dispose();
}

/** Grammars, and what matches the same texts. */
const REGULAR: readonly (readonly [grammar: string, texts: RegExp])[] = [
  ['root ::= "yes" | "no"', /^(yes|no)$/],
  ['root ::= ("a" | "b")* "c"? [0-9]+', /^[ab]*c?[0-9]+$/],
  [
    "# a comment\nroot ::= first rest # another\nfirst ::= [A-Z]\nrest ::=\n  [a-z]{2,3} |\n  [0-9]{2}\n",
    /^[A-Z]([a-z]{2,3}|[0-9]{2})$/,
  ],
  ['root ::= "x"{3} "y"{2,} [^a-zA-Z\\n]{0,2}', /^xxxy{2,}[^a-zA-Z\n]{0,2}$/u],
  ['root ::= "\\"\\\\\\x41\\u00e9\\n\\t" [\\]\\-\\^a-]', /^"\\Aé\n\t[\]\-^a]$/],
  ['root ::= a-rule b_rule c.rule\na-rule ::= \'a\'\nb_rule ::= "" | "b"\nc.rule ::= . "."', /^ab?.\.$/su],
  ['root ::= ( "a" ( "b" | ) )+', /^(ab?)+$/],
  ['start: "yes" | "no"', /^(yes|no)$/],
  ['// Lark\n?start: WORD ("," WORD)* -> words\nWORD.2: /[a-z]{2,4}/\n', /^[a-z]{2,4}(,[a-z]{2,4})*$/],
  [
    'start: greeting [NAME] DIGIT~2 DIGIT ~ 0..1\n!greeting: "hi"i\n  | "ho"\nNAME: " " /[A-Z]/\nDIGIT: "0".."9"',
    /^([hH][iI]|ho)( [A-Z])?[0-9]{2,3}$/,
  ],
  ['start: a\na: "x" // until here\n | "y"\n', /^[xy]$/],
];

for (const [source, texts] of REGULAR) {
  Deno.test(`texts of ${JSON.stringify(source).slice(0, 70)} are those that it describes`, async () => {
    for await (const text of walks(source)) assert.match(text, texts);
  });
}

Deno.test("rules may hold themselves, in the middle, at the end and at the beginning", async () => {
  for await (const text of walks('root ::= "(" root ")" | "x"')) {
    const depth = text.indexOf("x");
    assert.equal(text, "(".repeat(depth) + "x" + ")".repeat(depth));
  }
  for await (const text of walks('root ::= root "+" term | term\nterm ::= [0-9] | "-" term')) {
    assert.match(text, /^-*[0-9](\+-*[0-9])*$/);
  }
});

Deno.test("a grammar of JSON in GBNF gives JSON", async () => {
  const json = String.raw`
    root   ::= object
    value  ::= object | array | string | number | ("true" | "false" | "null") ws
    object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
    array  ::= "[" ws ( value ("," ws value)* )? "]" ws
    string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
    number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,2})? ws
    ws ::= | " " | "\n" [ \t]{0,5}`;
  for await (const text of walks(json, 40)) assert.equal(typeof JSON.parse(text), "object");
});

Deno.test("what is wrong with a grammar is said, with its line", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['main ::= "a"', /^it has no rule root, with which it would begin$/],
    ['main: "a"', /^it has no rule start, with which it would begin$/],
    [
      'root ::= "a"\n\nb ::= other',
      /^line 3 of the grammar: expected the name of a rule that there is, but found "other"$/,
    ],
    ['root ::= "a"\nroot ::= "b"', /^line 2 .* another rule root than before/],
    ['root ::= ("a"', /^line 1 .* expected \), but found its end$/],
    ['root ::= "a")', /^line 1 .* expected a rule, such as root ::= \.\.\., but found "\)"$/],
    ["root ::= *", /^line 1 .* expected a text, a class of characters, a rule or a group, but found "\*"$/],
    ['root ::= "a', /^line 1 .* a text does not end, or holds an escape that is none$/],
    ['root ::= "\\xZZ"', /^line 1 .* an escape that is none$/],
    ['root ::= "\\ud800"', /^line 1 .* \\ud800 is no character$/],
    ["root ::= [a", /^line 1 .* a class of characters does not end/],
    ["root ::= [z-a]", /^line 1 .* ends before it begins$/],
    ['root ::= "a"{3,2}', /^line 1 .* expected at least 3 as the upper number of a repetition, but found 2$/],
    ['root ::= "a"{99999}', /^a repetition of 99999 times/],
    ['root ::= "a" (= "b")', /^line 1 .* \(= cannot be followed: it is a look ahead$/],
    ["root ::= root", /^nothing that it allows ever ends$/],
    ["root ::= ~", /^line 1 of the grammar: "~" is no part of a grammar$/],
    ["", /^it has no rule start/],
    [" ".repeat(65_537), /^it has 65537 characters; expected at most 65536$/],
    [`root ::= ${"(".repeat(200)}"a"${")".repeat(200)}`, /^line 1 .* at most 128 brackets within each other/],
    [Array.from({ length: 1100 }, (_, i) => `r${i} ::= "a"`).join("\n"), /^line 1025 .* at most 1024 rules/],
    ["start: /a/i", /^line 1 .* the flags i of a regular expression cannot be followed$/],
    ['start: "z".."a"', /^line 1 .* expected a range from one character to one that is not before it$/],
    ['start: "a".."bc"', /^line 1 .* expected a range/],
    ["start: /(?=a)b/", /the regular expression holds \(\?=a\)/],
    [
      "start: WS\n%import common.WS",
      /^line 2 .* %import common\.WS cannot be followed: it is an import: write the rule out$/,
    ],
    ['start: "a"\nWS: " "\n%ignore WS', /^line 3 .* %ignore WS cannot be followed: it is text that is ignored/],
  ];
  for (const [source, message] of refused) {
    assert.throws(() => ownGrammar(source), (error: Error) => {
      assert.ok(error instanceof UnsupportedGrammarError, `${source.slice(0, 60)}: ${error.stack}`);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("no text is so odd that it is not refused or followed, and quickly", async () => {
  const random = seededRandom(9);
  const parts = [
    "root",
    "::=",
    ":",
    "start",
    " ",
    "\n",
    '"a"',
    "'",
    "[a-z]",
    "[",
    "]",
    "(",
    ")",
    "|",
    "*",
    "+",
    "?",
    "{2}",
    "{",
    "~1..2",
    "/x/",
    "/",
    "\\",
    "#",
    "//",
    "->",
    "%",
    "é😀",
    ".",
    "=",
    "^",
    "i",
  ];
  let followed = 0;
  for (let round = 0; round < 5000; round++) {
    const source = (round % 2 ? "root ::=" : "start:") +
      Array.from({ length: Math.floor(random() * 9) }, () => parts[Math.floor(random() * parts.length)]).join("");
    try {
      const printed = ownGrammar(source);
      if (++followed % 20 === 0) (await compile(printed)).dispose();
    } catch (error) {
      assert.ok(error instanceof UnsupportedGrammarError, `${JSON.stringify(source)}: ${(error as Error).stack}`);
    }
  }
  assert.ok(followed > 100, `${followed}`);
});

Deno.test("what stands behind a star may be there once, several times or not at all", async () => {
  const lengths = new Set<number>();
  for await (const text of walks('root ::= "x" "a"*', 100)) lengths.add(Math.min(text.length, 3));
  assert.deepEqual([...lengths].sort(), [1, 2, 3]);
});
