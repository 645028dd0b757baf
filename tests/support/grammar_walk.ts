/** @file Random texts of a grammar over a small vocabulary, without a model. */
import { closingTokens } from "../../src/text/grammar/closing.ts";
import { type CompiledGrammar, GrammarEngine, hasBit } from "../../src/text/grammar/matcher.ts";
import { GuidedText } from "../../src/text/grammar/guided_text.ts";
import { TokenSpeller } from "../../src/text/grammar/token_speller.ts";

const encoder = new TextEncoder();

/** All bytes, and tokens that reach across the seams of JSON. */
const WORDS = [
  '": ',
  '", "',
  '{"',
  '"}',
  "}]",
  "[[",
  "[{",
  "中",
  "é",
  "ab",
  "the ",
  "10",
  "00",
  ".5",
  "e1",
  "\\u",
  "\\n",
  "true",
  "null",
];
const MORE = ["😀", "-1", "2024", "@a.b", '"]', "x_", "T", "-01"];
export const WALK_TOKENS: readonly Uint8Array[] = [
  ...Array.from(
    { length: 256 },
    (_, byte) => Uint8Array.of(byte === 0xc0 || byte === 0xc1 || byte >= 0xf5 ? 0x20 : byte),
  ),
  ...[...WORDS, ...MORE].map((word) => encoder.encode(word)),
];

const engine = await GrammarEngine.create(WALK_TOKENS);
const speller = new TokenSpeller(WALK_TOKENS);

export function compile(grammar: string): Promise<CompiledGrammar> {
  return engine.compile(grammar);
}

/**
 * The bytes of a text that the grammar matches; from `most` tokens on it takes the shortest way to its end.
 *
 * @param first characters of which one comes first, if one may. Default: any
 */
export async function walk(
  grammar: CompiledGrammar,
  random: () => number,
  most: number,
  first = "",
): Promise<Uint8Array<ArrayBuffer>> {
  const matcher = await engine.match(grammar);
  const tokens: number[] = [];
  const take = (token: number) => {
    if (!matcher.accept(token)) throw new Error(`Token ${token} was said to be allowed, and is not`);
    tokens.push(token);
  };
  try {
    for (;;) {
      const { mask, mayEnd } = await matcher.next();
      const allowed = WALK_TOKENS.flatMap((_, token) => hasBit(mask, token) ? [token] : []);
      if (mayEnd && (allowed.length === 0 || random() < 0.2)) break;
      if (allowed.length === 0) throw new Error(`Nothing may follow ${JSON.stringify(textOf(tokens))}`);
      if (tokens.length >= most) {
        const way = await closingTokens(matcher, speller);
        if (way === null) throw new Error(`No way to the end was found behind ${JSON.stringify(textOf(tokens))}`);
        way.forEach(take);
        if (!(await matcher.next()).mayEnd) throw new Error(`${JSON.stringify(textOf(tokens))} is not at its end`);
        break;
      }
      const shown = allowed.filter((token) => WALK_TOKENS[token].every((byte) => byte >= 0x20 && byte < 0x7f));
      const asked = tokens.length === 0 ? allowed.filter((token) => first.includes(textOf([token]))) : [];
      const pool = asked.length > 0 ? asked : shown.length > 0 && random() < 0.95 ? shown : allowed;
      take(pool[Math.floor(random() * pool.length)]);
    }
  } finally {
    matcher.dispose();
  }
  return bytesOf(tokens);
}

/** How many bytes of a text the grammar takes, one by one, and whether a text may end there. */
export async function follow(grammar: CompiledGrammar, text: string): Promise<{ taken: number; mayEnd: boolean }> {
  const matcher = await engine.match(grammar);
  const bytes = encoder.encode(text);
  let taken = 0;
  while (taken < bytes.length && matcher.accept(bytes[taken])) taken++;
  const { mayEnd } = await matcher.next();
  matcher.dispose();
  return { taken, mayEnd };
}

/**
 * The bytes of a text that a grammar guides, of at most `remaining` tokens, and whether it came to its end.
 *
 * @param pick one of the tokens that may come next; the one behind all others ends the text
 */
export async function guidedWalk(
  grammar: CompiledGrammar,
  remaining: number,
  pick: (allowed: readonly number[]) => number,
): Promise<{ bytes: Uint8Array<ArrayBuffer>; tokens: number; replaced: number }> {
  const stop = WALK_TOKENS.length;
  const text = new GuidedText(await engine.match(grammar), speller, { remaining, stopTokens: [stop] });
  const tokens: number[] = [];
  let replaced = 0;
  let { mask } = await text.begin();
  while (mask !== null && tokens.length < remaining) {
    const current = mask;
    const allowed = Array.from({ length: stop + 1 }, (_, token) => token).filter((token) => hasBit(current, token));
    const token = pick(allowed);
    if (token === stop) break;
    const next = await text.advance(token);
    if (next.isCut) break;
    if (next.replacement !== null) replaced++;
    tokens.push(next.replacement ?? token);
    mask = next.mask;
  }
  text.dispose();
  return { bytes: bytesOf(tokens), tokens: tokens.length, replaced };
}

function bytesOf(tokens: readonly number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(tokens.flatMap((token) => [...WALK_TOKENS[token]]));
}

function textOf(tokens: readonly number[]): string {
  return new TextDecoder().decode(bytesOf(tokens));
}
