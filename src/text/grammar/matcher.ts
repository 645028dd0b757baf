/**
 * @file XGrammar as the rest of the grammar code sees it: which tokens of a vocabulary may come next.
 *
 * The npm package says that it is an ES module and is a UMD one: it asks for `require` and `__filename`, and leaves what it
 * exports on the global object. So it is only ever loaded in a worker of its own (grammar_worker.ts).
 */
import { createRequire } from "node:module";
import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from "@mlc-ai/web-xgrammar";

type XGrammar = typeof import("@mlc-ai/web-xgrammar");

/** A grammar that has been compiled for a vocabulary. Free it with `dispose`. */
export type { CompiledGrammar } from "@mlc-ai/web-xgrammar";

async function loadLibrary(): Promise<XGrammar> {
  const globals = globalThis as unknown as {
    require: unknown;
    __filename: string;
    __dirname: string;
    xgrammar: XGrammar;
  };
  globals.require = createRequire(import.meta.url);
  globals.__filename = "xgrammar.js";
  globals.__dirname = ".";
  await import("@mlc-ai/web-xgrammar");
  return globals.xgrammar;
}

/** Compiles grammars for one vocabulary, and follows texts through them. */
export class GrammarEngine {
  /** The token for each single byte. */
  readonly byteTokens: readonly (number | undefined)[];

  private constructor(
    readonly library: XGrammar,
    readonly compiler: GrammarCompiler,
    readonly tokens: readonly Uint8Array[],
  ) {
    const byteTokens: number[] = [];
    tokens.forEach((bytes, id) => {
      if (bytes.length === 1) byteTokens[bytes[0]] ??= id;
    });
    this.byteTokens = byteTokens;
  }

  /** @param tokens the bytes of each; one without any is in no text */
  static async create(tokens: readonly Uint8Array[]): Promise<GrammarEngine> {
    const library = await loadLibrary();
    // The one behind the last stands for the end. Bytes are as good as texts to the library, though its types do not say so.
    const vocabulary = [...tokens, "<end>"] as string[];
    const info = await library.TokenizerInfo.createTokenizerInfo(vocabulary, "raw", false, vocabulary.length, [
      tokens.length,
    ]);
    return new GrammarEngine(library, await library.GrammarCompiler.createGrammarCompiler(info, false), tokens);
  }

  /** @param grammar from `printGrammar` */
  compile(grammar: string): Promise<CompiledGrammar> {
    return this.compiler.compileGrammar(grammar);
  }

  /** Follows a text from its beginning. */
  async match(grammar: CompiledGrammar): Promise<TextMatcher> {
    return new TextMatcher(this, await this.library.GrammarMatcher.createGrammarMatcher(grammar));
  }
}

/** What may come next; a bit for each token, and one behind them for the end. */
export interface NextTokens {
  readonly mask: Uint32Array<ArrayBuffer>;
  readonly mayEnd: boolean;
}

/** A text on its way through a grammar. */
export class TextMatcher {
  constructor(readonly engine: GrammarEngine, readonly matcher: GrammarMatcher) {}

  async next(): Promise<NextTokens> {
    const end = this.engine.tokens.length;
    const mask = new Uint32Array(await this.matcher.getNextTokenBitmask());
    const mayEnd = hasBit(mask, end);
    // The bits behind the last token stand for nothing, and are all set.
    mask[end >> 5] &= (1 << (end & 31)) - 1;
    return { mask, mayEnd };
  }

  /** Goes on with a token. @returns false, and stays, if it may not come next */
  accept(token: number): boolean {
    return this.matcher.acceptToken(token);
  }

  /** What must come next, whatever else; possibly nothing. */
  get forced(): string {
    return this.matcher.findJumpForwardString();
  }

  /** Goes back by so many tokens. */
  back(tokens: number): void {
    if (tokens > 0) this.matcher.rollBack(tokens);
  }

  dispose(): void {
    this.matcher.dispose();
  }
}

/** Whether a token is in a mask. */
export function hasBit(mask: Uint32Array, token: number): boolean {
  return ((mask[token >> 5] >>> (token & 31)) & 1) === 1;
}
