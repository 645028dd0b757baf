/** @file Regular expressions, in the syntax of ECMAScript that JSON Schema uses, as parts of grammars. */
import { type AST, RegExpParser } from "@eslint-community/regexpp";
import { type CharacterSet, complement, difference, setOf } from "./characters.ts";
import { choice, EMPTY, type Expression, repeat, sequence } from "./expression.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

/** How characters are written where they stand; elsewhere than in JSON, as they are. */
export type Writing = (set: CharacterSet) => Expression;

/** What a regular expression matches as a whole. */
export interface Pattern {
  readonly expression: Expression;
  /** Characters of its shortest and longest match. */
  readonly least: number;
  readonly most: number;
}

const DIGITS: CharacterSet = [[0x30, 0x39]];
const WORD: CharacterSet = setOf([...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]);
/** ECMAScript's white space and line ends. */
const SPACE: CharacterSet = setOf([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
/** What `\s` writes: \S and [^\s] still exclude all of the above. */
const WRITTEN_SPACE: CharacterSet = [[0x09, 0x0d], [0x20, 0x20]];
const LINE_ENDS: CharacterSet = [[0x0a, 0x0a], [0x0d, 0x0d]];
const BEYOND_ASCII: CharacterSet = [[0x80, 0x10ffff]];

/**
 * The texts that a regular expression matches from their beginning to their end. Anchors may stand at its ends only, where
 * they change nothing.
 *
 * XGrammar cannot be told some classes precisely (see characters.ts): `\S` and `[^\s]` allow nothing beyond ASCII, `\s` none of
 * the white space there; `.` allows U+2028 and U+2029, too.
 *
 * @throws {UnsupportedGrammarError} naming what it holds that no grammar can express
 */
export function readPattern(source: string, write: Writing): Pattern {
  let pattern: AST.Pattern;
  try {
    pattern = new RegExpParser({ ecmaVersion: 2025 }).parsePattern(source, 0, source.length, { unicode: true });
  } catch {
    try {
      // Without the flag u, more escapes are allowed; Python writes some of them.
      pattern = new RegExpParser({ ecmaVersion: 2025 }).parsePattern(source, 0, source.length, { unicode: false });
    } catch (error) {
      throw new UnsupportedGrammarError(`a regular expression that is not valid (${(error as Error).message})`);
    }
  }
  return new PatternReader(write).alternatives(pattern.alternatives, true);
}

class PatternReader {
  constructor(readonly write: Writing) {}

  /** @param isOuter whether they reach from end to end, so that anchors may stand there */
  alternatives(alternatives: readonly AST.Alternative[], isOuter: boolean): Pattern {
    const options = alternatives.map(({ elements }) => this.#sequence(elements, isOuter));
    if (options.length === 1) return options[0];
    return {
      expression: choice(...options.map(({ expression }) => expression)),
      least: Math.min(...options.map(({ least }) => least)),
      most: Math.max(...options.map(({ most }) => most)),
    };
  }

  #sequence(elements: readonly AST.Element[], isOuter: boolean): Pattern {
    const parts = elements.flatMap((element, at) => {
      const isAnchor = element.type === "Assertion" &&
        ((element.kind === "start" && at === 0) || (element.kind === "end" && at === elements.length - 1));
      if (isOuter && isAnchor) return [];
      return [this.#element(element, isOuter && elements.length === 1)];
    });
    return {
      expression: parts.length === 0 ? EMPTY : sequence(...parts.map(({ expression }) => expression)),
      least: parts.reduce((sum, { least }) => sum + least, 0),
      most: parts.reduce((sum, { most }) => sum + most, 0),
    };
  }

  #element(element: AST.Element, isOuter: boolean): Pattern {
    switch (element.type) {
      case "Character":
        return this.#one([[element.value, element.value]]);
      case "CharacterSet":
        return this.#one(this.#namedSet(element));
      case "CharacterClass":
        return this.#one(this.#class(element));
      case "Group":
        if (element.modifiers !== null) throw unsupported(element);
        return this.alternatives(element.alternatives, isOuter);
      case "CapturingGroup":
        return this.alternatives(element.alternatives, isOuter);
      case "Quantifier": {
        const body = this.#element(element.element, false);
        return {
          expression: repeat(body.expression, element.min, element.max),
          least: body.least * element.min,
          most: body.most === 0 ? 0 : body.most * element.max,
        };
      }
      default:
        throw unsupported(element);
    }
  }

  #one(set: CharacterSet): Pattern {
    return { expression: this.write(set), least: 1, most: 1 };
  }

  #class({ negate, elements }: AST.CharacterClass): CharacterSet {
    const ranges = (elements as readonly AST.ClassRangesCharacterClassElement[]).flatMap((element): CharacterSet => {
      switch (element.type) {
        case "Character":
          return [[element.value, element.value]];
        case "CharacterClassRange":
          return [[element.min.value, element.max.value]];
        case "CharacterSet":
          return negate && element.kind === "space" && !element.negate ? SPACE : this.#namedSet(element);
        default:
          throw unsupported(element);
      }
    });
    const set = setOf(ranges);
    return negate ? writable(complement(set)) : set;
  }

  #namedSet(set: AST.CharacterSet): CharacterSet {
    switch (set.kind) {
      case "any":
        return complement(LINE_ENDS);
      case "digit":
        return set.negate ? complement(DIGITS) : DIGITS;
      case "word":
        return set.negate ? complement(WORD) : WORD;
      case "space":
        return set.negate ? writable(complement(SPACE)) : WRITTEN_SPACE;
      default:
        throw unsupported(set);
    }
  }
}

/** A set that is all of its ASCII, and beyond it all or nothing. */
export function writable(set: CharacterSet): CharacterSet {
  const isWhole = difference(BEYOND_ASCII, set).length === 0;
  return isWhole ? set : difference(set, BEYOND_ASCII);
}

const WORDS: Readonly<Record<string, string>> = {
  Assertion: "an assertion (anchors may stand at its ends only)",
  Backreference: "a back reference",
  CharacterSet: "a class of a Unicode property",
};

function unsupported(node: AST.Node): UnsupportedGrammarError {
  return new UnsupportedGrammarError(
    `the regular expression holds ${node.raw}: ${WORDS[node.type] ?? "this"} cannot be followed`,
  );
}
