/** @file What the value of a flag may be: parsers from text, each with the words that help and errors use for it. */

import { AUTO_BUDGET } from "../cache/budgets.ts";
import type { MassBudget } from "../contract/generation.ts";
import { isIPv6 } from "node:net";
import { KEY_CHARACTERS } from "../routes/access/key_file.ts";

/** A kind of value. */
export interface ValueType<T> {
  /** Stands for the value in help texts; empty for a flag that takes none. */
  readonly placeholder: string;
  /** What is accepted, to follow "must be". */
  readonly expectation: string;
  /** The value, or undefined where the text is none. */
  parse(text: string): T | undefined;
  /** All that is accepted, where it is a few words, or a list of them. */
  readonly words?: readonly string[];
}

/** Stands between texts that may hold commas; no argument holds it itself. */
export const BETWEEN_TEXTS = "\0";

/** A flag: what it takes, what it falls back to, what it is for. */
export interface Flag<T> {
  readonly value: ValueType<T>;
  readonly help: string;
  readonly default?: T;
  readonly required?: true;
  /** Another option without which it means nothing. In the environment it may stand for other commands' sake. */
  readonly needs?: string;
  /** Whether its value is shown to nobody. */
  readonly isSecret?: true;
  /** What stands between the values of a list, if it may be given several times, each adding to the list. */
  readonly repeats?: "," | typeof BETWEEN_TEXTS;
}

// deno-lint-ignore no-explicit-any -- a table holds flags of different types
export type AnyFlag = Flag<any>;

type OptionOf<F extends AnyFlag> = F extends { readonly value: ValueType<infer T> }
  ? F extends { readonly required: true } | { readonly default: unknown } ? T : T | undefined
  : never;

/** The parsed values of a table of flags. */
export type OptionsOf<Table extends Record<string, AnyFlag>> = {
  readonly [Name in keyof Table]: OptionOf<Table[Name]>;
};

/** Any text that is not empty. */
export function text(placeholder: string, expectation: string): ValueType<string> {
  return { placeholder, expectation, parse: (text) => text === "" ? undefined : text };
}

/** Texts that may hold anything, each given by a flag of its own. */
export const texts: ValueType<readonly string[]> = {
  placeholder: "TEXT",
  expectation: "a text that is not empty",
  parse(text) {
    const texts = text.split(BETWEEN_TEXTS);
    return texts.includes("") ? undefined : texts;
  },
};

/** A whole number in `[minimum, maximum]`. */
export function integer(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): ValueType<number> {
  const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  return {
    placeholder: "N",
    expectation: `a whole number ${range}`,
    parse: (text) => /^\d+$/.test(text) ? within(Number(text), minimum, maximum) : undefined,
  };
}

/** A decimal number in `[minimum, maximum]`. */
export function number(minimum: number, maximum: number): ValueType<number> {
  return {
    placeholder: "X",
    expectation: `a number from ${minimum} to ${maximum}`,
    parse: (text) => /^-?(\d+\.?\d*|\.\d+)$/.test(text) ? within(Number(text), minimum, maximum) : undefined,
  };
}

/** One of a few words. */
export function oneOf<const Words extends readonly string[]>(...words: Words): ValueType<Words[number]> {
  return {
    placeholder: words.join("|"),
    expectation: `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
    parse: (text) => words.find((word) => word === text),
    words,
  };
}

/** A flag without a value; in the environment it needs one. */
export const onOff: ValueType<boolean> = {
  placeholder: "",
  expectation: "true or false",
  parse: (text) => text === "true" || text === "1" ? true : text === "false" || text === "0" ? false : undefined,
};

const UNIT_POWERS = { "": 0, k: 1, m: 2, g: 3, t: 4 } as const;

/** A size in bytes, at least `least`: `2G` and `2GiB` count in powers of 1024, `2GB` in powers of 1000. */
export const bytes = (least: 0 | 1): ValueType<number> => ({
  placeholder: "BYTES",
  expectation: `a size such as 512MiB, 2G or 1000000000${least === 0 ? ", or 0" : ""}`,
  parse(text) {
    const match = /^(\d+(?:\.\d+)?) ?([kmgt]?)(i?b)?$/i.exec(text);
    if (match === null) return undefined;
    const [, amount, unit, suffix] = match;
    const base = unit !== "" && suffix?.toLowerCase() === "b" ? 1000 : 1024;
    const power = UNIT_POWERS[unit.toLowerCase() as keyof typeof UNIT_POWERS];
    return within(Math.round(Number(amount) * base ** power), least, Number.MAX_SAFE_INTEGER);
  },
});

/** A size in bytes, of what is shared or of one model's: kept as it is written. */
export const memoryShare: ValueType<string> = {
  placeholder: "[ID=]BYTES",
  expectation: "a size such as 512MiB, 2G or 1000000000, or one for a model such as small=1G",
  parse: (text) => bytes(1).parse(text.slice(text.lastIndexOf("=") + 1)) === undefined ? undefined : text,
};

/** Mean KV rows per layer, or a share of the prompt. */
export const cacheBudget: ValueType<number | string> = {
  placeholder: "N|P%",
  expectation: "a whole number of rows of at least 1, or a share of the prompt such as 6.9%",
  parse(text) {
    if (!text.endsWith("%")) return integer(1).parse(text);
    const share = number(0, 100).parse(text.slice(0, -1));
    return share === undefined || share === 0 ? undefined : text;
  },
};

/** The same, or the smallest that keeps a share of the attention. */
export const servedBudget: ValueType<number | string | MassBudget> = {
  placeholder: "N|P%|auto",
  expectation:
    `${cacheBudget.expectation}, or auto, which can be followed by the share of the attention to keep and the most that it may ` +
    "come to, such as auto:0.98 or auto:0.98:1024",
  parse(text) {
    const [word, mass = String(AUTO_BUDGET.mass), max = String(AUTO_BUDGET.max), ...others] = text.split(":");
    if (word !== "auto") return cacheBudget.parse(text);
    const [share, most] = [number(0, 1).parse(mass), cacheBudget.parse(max)];
    return share === undefined || share === 0 || most === undefined || others.length > 0
      ? undefined
      : { mass: share, max: most };
  },
};

/** Where a server listens. */
export const serverUrl: ValueType<string> = {
  placeholder: "URL",
  expectation: "an address such as http://localhost:8000",
  parse: (text) => ["http:", "https:"].includes(URL.parse(text)?.protocol ?? "") ? text : undefined,
};

/** A host's name or address, without a port; an IPv6 address with or without the brackets that it has in URLs. */
export const hostName: ValueType<string> = {
  placeholder: "HOST",
  expectation: "a host name or address, without a port",
  parse(text) {
    const host = text.replace(/^\[(.*)\]$/, "$1");
    const isName = /^[a-z\d_*]([a-z\d_.-]*[a-z\d_.])?$/i.test(host);
    return isName || isIPv6(host) ? host : undefined;
  },
};

/** A key that a header can carry. */
export const apiKey: ValueType<string> = {
  placeholder: "KEY",
  expectation: "a key of visible ASCII characters, without spaces: no header carries others",
  parse: (text) => KEY_CHARACTERS.test(text) ? text : undefined,
};

/** The origin of web pages as browsers write it, or `*` for all. */
export const origin: ValueType<string> = {
  placeholder: "ORIGIN",
  expectation: "an origin such as https://example.com or http://localhost:3000, or * for any",
  parse(text) {
    if (text === "*") return text;
    const url = /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@*]+$/i.test(text) ? URL.parse(text) : null;
    // Only the web's own schemes have an origin in URLs; those of apps and of browser extensions are taken as they are.
    return url?.origin === "null" ? text : url?.origin;
  },
};

/** Values with commas between them; repeated ones count once. */
export function listOf<T>({ placeholder, expectation, parse, words }: ValueType<T>): ValueType<readonly T[]> {
  return {
    words,
    placeholder: `${placeholder},...`,
    expectation: `a list, with commas, each entry ${expectation}`,
    parse(text) {
      const values = text.split(",").map((part) => parse(part.trim()));
      return values.includes(undefined) ? undefined : [...new Set(values as T[])];
    },
  };
}

function within(value: number, minimum: number, maximum: number): number | undefined {
  return value >= minimum && value <= maximum ? value : undefined;
}
